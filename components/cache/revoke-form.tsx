'use client';

import { useActionState } from 'react';
import type { FormAction } from '#components/form/use-action-form.ts';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';

function untilOf(value: unknown): { until: string; isReplaced: boolean } | null {
  const { acceptedUntil, isReplaced } = (value ?? {}) as { acceptedUntil?: string; isReplaced?: boolean };
  return acceptedUntil ? { until: acceptedUntil, isReplaced: isReplaced === true } : null;
}

/** Says what it did, and what it did not. */
export function RevokeForm({ action, tokenId, what }: { action: FormAction; tokenId: string; what: string }) {
  const [state, submit] = useActionState(action, null);
  const done = state?.ok ? untilOf(state.value) : null;
  if (done)
    return (
      <p role="status" className="max-w-64 text-sm whitespace-normal text-ink-2">
        {done.isReplaced ? 'Another is given to the runners now. ' : ''}
        {`The server takes this one until ${done.until.slice(0, 16).replace('T', ' ')} UTC.`}
      </p>
    );
  return (
    <form action={submit} className="grid gap-2">
      <input type="hidden" name="tokenId" value={tokenId} />
      {state && !state.ok ? <ErrorCallout error={state.error} /> : null}
      <div>
        <SubmitButton look="secondary" small>
          Revoke <span className="sr-only">{what}</span>
        </SubmitButton>
      </div>
    </form>
  );
}
