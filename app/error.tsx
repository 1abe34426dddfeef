'use client';

import { Failure } from '#components/app/failure.tsx';

export default function PageError({ error, reset }: { error: Error & { digest?: string }; reset: () => void }) {
  return (
    <main id="main" className="mx-auto max-w-3xl p-6">
      <Failure error={error} retry={reset} />
    </main>
  );
}
