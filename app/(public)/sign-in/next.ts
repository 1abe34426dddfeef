/** Where to go after signing in: a path of ours, whatever was written into the address. */
export function safeNext(next: string | undefined): string {
  if (!next?.startsWith('/') || /^\/[/\\]/.test(next) || /[\u0000-\u001f\\]/.test(next)) return '/home';
  return next.startsWith('/sign-') || next.startsWith('/api/') ? '/home' : next;
}
