/** Called by Next once in each server process, before the first request. */
export async function register(): Promise<void> {
  // The same file is also run where pages are only bundled for browsers, which look at no forge.
  if (process.env.NEXT_RUNTIME !== 'nodejs') return;
  const { followForges } = await import('#lib/enrollment/index.ts');
  followForges();
}
