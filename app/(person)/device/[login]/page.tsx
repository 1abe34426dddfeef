import type { Metadata } from 'next';
import { apiScopeWords, personPage, readDevice, type DeviceView } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Card, Facts, PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { decide } from '../actions.ts';

export const metadata: Metadata = { title: 'Sign in a terminal' };

export default personPage<{ login: string }>(async (by, { params }) => {
  const seen = await readDevice(by, params.login, new Date());
  const { machine, scopes, days, askedAt, state } = seen;
  return (
    <>
      <PageHeader
        title="Sign in a terminal"
        answer={
          <>
            <span className="font-mono text-base break-words">{machine}</span>{' '}
            {state === 'approved' ? 'may act' : 'asks to act'} for {by.person.name}
            {days === 1 ? ' for a day.' : ` for ${days} days.`}
          </>
        }
      />
      <div className="grid max-w-2xl gap-6">
        <Card>
          <Facts
            rows={[
              [
                'It calls itself',
                <span key="machine" className="font-mono break-words">
                  {machine}
                </span>,
              ],
              ['Asked', <RelativeTime key="asked" at={askedAt} />],
              [
                'It may',
                <ul key="scopes" className="grid gap-1">
                  {scopes.map((scope) => (
                    <li key={scope}>
                      <span className="font-mono text-sm">{scope}</span>: {apiScopeWords[scope]}
                    </li>
                  ))}
                </ul>,
              ],
              ['In', 'every tenant of yours, by the role that you have there at that time'],
            ]}
          />
        </Card>
        {state === 'pending' ? <Decision login={params.login} /> : <Decided state={state} machine={machine} />}
      </div>
    </>
  );
});

function Decision({ login }: { login: string }) {
  return (
    <>
      <Callout tone="warn" title="Did you begin this, in a terminal that is in front of you now?">
        If not, deny it: whoever made the code you typed would act as you.
      </Callout>
      <div className="flex flex-wrap gap-3">
        <ButtonForm action={decide} fields={{ login, decision: 'approve' }}>
          Approve
        </ButtonForm>
        <ButtonForm action={decide} fields={{ login, decision: 'deny' }} look="secondary">
          Deny
        </ButtonForm>
      </div>
    </>
  );
}

const words: Record<Exclude<DeviceView['state'], 'pending'>, { tone: 'good' | 'warn'; title: string; todo: string }> = {
  approved: {
    tone: 'good',
    title: 'Approved. Go back to the terminal; you may close this page.',
    todo: 'flywheel logout ends it, and so does revoking its token.',
  },
  denied: { tone: 'warn', title: 'Denied. It was given nothing.', todo: 'You may close this page.' },
  ended: {
    tone: 'warn',
    title: 'It is more than ten minutes old, and counts no more.',
    todo: 'Nothing was changed. Begin again in the terminal.',
  },
};

function Decided({ state, machine }: { state: keyof typeof words; machine: string }) {
  const { tone, title, todo } = words[state];
  return (
    <Callout tone={tone} title={title} role="status">
      <p>{state === 'approved' ? `The token is called ${machine}. ${todo}` : todo}</p>
      {state === 'approved' ? null : (
        <LinkButton href="/device" small className="mt-2" look="secondary">
          Type another code
        </LinkButton>
      )}
    </Callout>
  );
}
