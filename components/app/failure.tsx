'use client';

import { Button } from '#components/ui/button.tsx';
import { ErrorCallout, type ShownError } from '#components/ui/states.tsx';

/** The other end of the doors' digest: of a thrown error only that reaches the browser. */
function readDigest(digest: string | undefined): ShownError {
  try {
    const parsed = JSON.parse(digest ?? '') as Partial<ShownError>;
    if (typeof parsed.happened === 'string' && typeof parsed.changed === 'string') {
      return { requestId: 'unknown', ...parsed, happened: parsed.happened, changed: parsed.changed };
    }
  } catch {
    // Not one of ours: an error that no door met.
  }
  return {
    happened: 'Something failed that we did not foresee.',
    changed: 'We cannot say whether anything was changed.',
    todo: 'Reload the page to see the present state.',
    requestId: digest ?? 'unknown',
  };
}

export function Failure({ error, retry }: { error: Error & { digest?: string }; retry: () => void }) {
  return (
    <div className="grid max-w-2xl gap-4 py-2">
      <ErrorCallout error={readDigest(error.digest)} />
      <div>
        <Button onClick={retry}>Load again</Button>
      </div>
    </div>
  );
}
