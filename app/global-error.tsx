'use client';

/** The last resort: the frame itself failed, so nothing of it is used. */
export default function GlobalError({ error }: { error: Error & { digest?: string } }) {
  return (
    <html lang="en">
      <body>
        <main>
          <h1>The portal failed to load.</h1>
          <p>We cannot say whether anything was changed. Reload the page to see the present state.</p>
          <p>Reference: {error.digest ?? 'unknown'}</p>
        </main>
      </body>
    </html>
  );
}
