/** Where to go after signing in: a path of ours, whatever was written into the address. */
export function safeNext(next: string | undefined): string {
  if (!next?.startsWith('/') || next.startsWith('//')) return '/home';
  // Browsers read a backslash as a slash, and drop tabs and line ends before they read at all.
  if (Array.from(next).some((character) => character === '\\' || character <= ' ')) return '/home';
  return next.startsWith('/sign-') || next.startsWith('/api/') ? '/home' : next;
}
