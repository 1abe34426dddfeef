'use client';

import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { SharingChoice, type SharingChoiceProps } from './sharing-choice.tsx';

type Props = Omit<SharingChoiceProps, 'name' | 'chosen'> & { action: FormAction; present: string };

/** Shared or dedicated, for a tenant that is there. */
export function SharingForm({ action, present, ...choice }: Props) {
  const form = useActionForm(action);
  return (
    <form {...form.form} className="grid max-w-3xl gap-4">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <SharingChoice name="sharing" chosen={form.valueOf('sharing', present)} {...choice} />
      <div>
        <SubmitButton pending={form.pending}>Keep this choice</SubmitButton>
      </div>
    </form>
  );
}
