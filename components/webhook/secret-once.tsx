import { CodeBlock } from '#components/ui/code.tsx';
import { Callout } from '#components/ui/status.tsx';

/** A secret that is shown this once. */
export function SecretOnce({ secret, children }: { secret: string; children: string }) {
  return (
    <Callout tone="good" role="status" title="Copy the signing secret now: it is not shown again.">
      <p className="mb-3">{children}</p>
      <CodeBlock text={secret} label="Signing secret" copy="Copy the secret" />
    </Callout>
  );
}

/** What an action answered, where it is a secret. */
export function secretOf(value: unknown): string | null {
  const { secret } = (value ?? {}) as { secret?: unknown };
  return typeof secret === 'string' ? secret : null;
}
