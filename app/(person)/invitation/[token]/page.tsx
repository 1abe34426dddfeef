import type { Metadata } from 'next';
import { type InvitationView, personPage, readInvitation, roleLabel } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Card, Facts, PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { accept } from './actions.ts';

export const metadata: Metadata = { title: 'Invitation' };

const may: Record<InvitationView['role'], string> = {
  admin: 'enrol and withdraw scopes, change credentials and members, and see what it costs',
  member: 'see enrollments, pools, jobs, caches and usage',
  billing: 'see what is used and what it costs',
};

const ended: Record<Exclude<InvitationView['state'], 'open'>, string> = {
  accepted: 'This invitation was used already; it counts once.',
  revoked: 'This invitation was revoked.',
  expired: 'This invitation has ended.',
};

export default personPage<{ token: string }>(async (by, { params }) => {
  const { token } = params;
  const seen = await readInvitation(by, token);
  const { tenantName, invitedBy, role, forge, login, expiresAt, state } = seen;
  return (
    <>
      <PageHeader
        title={`Invitation to ${tenantName}`}
        answer={`${invitedBy} invites ${login} on ${forge} to be ${role === 'admin' ? 'an' : 'a'} ${role === 'billing' ? 'billing contact' : roleLabel[role].toLowerCase()} of ${tenantName}.`}
      />
      <div className="grid max-w-2xl gap-6">
        <Card>
          <Facts
            rows={[
              ['For', `${login} on ${forge}`],
              ['Role', `${roleLabel[role]}: may ${may[role]}`],
              ['By', invitedBy],
              ['Ends', <RelativeTime key="ends" at={expiresAt} />],
            ]}
          />
        </Card>
        {state === 'open' ? <Answer seen={seen} token={token} /> : <Ended state={state} seen={seen} />}
      </div>
    </>
  );
});

function Ended({ state, seen }: { state: Exclude<InvitationView['state'], 'open'>; seen: InvitationView }) {
  return (
    <Callout tone="warn" title={ended[state]}>
      {state === 'accepted' && seen.isForYou ? (
        <LinkButton href={`/t/${seen.tenantSlug}`} small className="mt-2">
          Go to {seen.tenantName}
        </LinkButton>
      ) : (
        'Nothing was changed. Ask for a new one.'
      )}
    </Callout>
  );
}

function Answer({ seen, token }: { seen: InvitationView; token: string }) {
  if (seen.isForYou)
    return (
      <ButtonForm action={accept} fields={{ token }}>
        Accept and go to {seen.tenantName}
      </ButtonForm>
    );
  const { login, forge, yourLogin } = seen;
  return (
    <Callout
      tone="bad"
      title={
        yourLogin === null
          ? `This invitation is for ${login} on ${forge}, where you have no account that we know of.`
          : `This invitation is for ${login} on ${forge}, and you are ${yourLogin} there.`
      }
    >
      <p>Nothing was changed. Sign in as {login}, then open the link again.</p>
      <LinkButton href={`/sign-in?next=${encodeURIComponent(`/invitation/${token}`)}`} small className="mt-2">
        Sign in as {login}
      </LinkButton>
    </Callout>
  );
}
