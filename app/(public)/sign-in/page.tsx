import type { Metadata } from 'next';
import { forgeConnectionsOf } from '#lib/enrollment/index.ts';
import { currentPerson } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Mark } from '#components/ui/mark.tsx';
import { Callout } from '#components/ui/status.tsx';
import { signIn } from './actions.ts';
import { safeNext } from './next.ts';

export const metadata: Metadata = { title: 'Sign in' };

/** next-auth's error codes in words. Whatever is not named here is told as the last of them. */
const errors: Record<string, { title: string; text: string }> = {
  AccessDenied: {
    title: 'This account may not sign in.',
    text: 'It was disabled here. Ask the operator of the platform.',
  },
  OAuthAccountNotLinked: {
    title: 'That forge account already belongs to another person here.',
    text: 'Nothing was changed. Sign out first, then sign in with that account alone.',
  },
  OAuthCallback: {
    title: 'The forge did not complete the sign-in.',
    text: 'It was cancelled, it took too long, or it was begun in another browser. Nothing was changed. Try again.',
  },
  OAuthSignin: {
    title: 'The forge could not be reached.',
    text: 'Nothing was changed. Try again in a minute; if it stays, tell the operator of the platform.',
  },
  Other: { title: 'Signing in failed.', text: 'Nothing was changed. Try again.' },
};

type Props = { searchParams: Promise<Record<string, string | string[] | undefined>> };

export default async function SignInPage({ searchParams }: Props) {
  const asked = await searchParams;
  const next = safeNext(typeof asked['next'] === 'string' ? asked['next'] : undefined);
  const error = typeof asked['error'] === 'string' ? (errors[asked['error']] ?? errors['Other']) : null;
  const by = await currentPerson();
  const connections = await forgeConnectionsOf();
  return (
    <main id="main" className="mx-auto grid min-h-dvh max-w-sm content-center gap-6 p-6">
      <div className="grid gap-3">
        <Mark size={36} />
        <h1 className="text-2xl font-semibold tracking-tight">Sign in to Flywheel</h1>
        <p className="text-ink-2">
          The forge says who you are and what you administer. We keep your account’s id and name there, and no e-mail
          address.
        </p>
      </div>
      {error ? (
        <Callout tone="bad" title={error.title} role="alert">
          {error.text}
        </Callout>
      ) : null}
      {by ? (
        <Callout tone="note" title={`You are signed in as ${by.person.name}.`}>
          <LinkButton href={next} small className="mt-2">
            Go on
          </LinkButton>
        </Callout>
      ) : null}
      {connections.length === 0 ? (
        <Callout tone="warn" title="No forge is set up yet.">
          An operator has to enter a forge connection before anybody can sign in.
        </Callout>
      ) : (
        <ul className="grid gap-3 [&_button]:w-full">
          {connections.map(({ id, name, baseUrl }) => (
            <li key={id}>
              <ButtonForm
                action={signIn}
                fields={{ connection: id, next }}
                look={connections.length === 1 ? 'primary' : 'secondary'}
              >
                Sign in with {name}
              </ButtonForm>
              <p className="mt-1 text-sm text-ink-3">{baseUrl.replace(/^https?:\/\//, '')}</p>
            </li>
          ))}
        </ul>
      )}
    </main>
  );
}
