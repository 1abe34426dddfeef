import type { ActionForm } from '#components/form/use-action-form.ts';
import { TextAreaField, TextField } from '#components/ui/field.tsx';

type Props = { form: ActionForm; caBundle?: string; runnerEgress?: string };

/** For a server of one's own: who vouches for it, and where runners reach it. */
export function AuthorityFields({ form, caBundle = '', runnerEgress = '' }: Props) {
  return (
    <>
      <TextAreaField
        name="caBundle"
        label="Certificate authority (optional)"
        help="PEM of the authority that vouches for the server, where the system does not know it. A server in a private network must also be named in FLYWHEEL_PRIVATE_HOSTS."
        error={form.errorAt('caBundle')}
        spellCheck={false}
        defaultValue={form.valueOf('caBundle', caBundle)}
        placeholder="-----BEGIN CERTIFICATE-----"
        className="font-mono text-sm"
      />
      <TextField
        name="runnerEgress"
        label="Runners reach it at (optional)"
        help="Runners reach the public internet at 443 alone. For a forge elsewhere: 10.9.8.7/32:8443, or namespace/forge:3000 for one in the same cluster."
        error={form.errorAt('runnerEgress')}
        defaultValue={form.valueOf('runnerEgress', runnerEgress)}
        maxLength={300}
      />
    </>
  );
}
