import { CodeBlock } from '#components/ui/code.tsx';
import { Callout } from '#components/ui/status.tsx';

export type Once = { name: string; secret: string };

/** A credential as an action answered it, where it did. */
export function onceOf(value: unknown): Once | null {
  const { name, secret } = (value ?? {}) as { name?: unknown; secret?: unknown };
  return typeof name === 'string' && typeof secret === 'string' ? { name, secret } : null;
}

/** Shown this once, in the form in which programs read it. */
export function CredentialOnce({ once, children }: { once: Once; children: string }) {
  const text = `export TF_HTTP_USERNAME='${once.name}'\nexport TF_HTTP_PASSWORD='${once.secret}'\n`;
  return (
    <Callout tone="good" role="status" title="Copy the secret now: it is not shown again.">
      <p className="mb-3">{children}</p>
      <CodeBlock text={text} label={`Credential ${once.name}`} copy="Copy the credential" />
    </Callout>
  );
}
