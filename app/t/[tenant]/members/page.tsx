import type { Metadata } from 'next';
import { forgeConnectionsOf } from '#lib/enrollment/index.ts';
import {
  listInvitations,
  listMembers,
  may,
  page,
  type Member,
  type PendingInvitation,
  type Person,
  reasonOf,
  roleLabel,
} from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { InviteForm } from '#components/member/invite-form.tsx';
import { RoleForm } from '#components/member/role-form.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, Tag } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { tenantTitle } from '../title.ts';
import { invite, revoke, setRole } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Members', props.params);
}

const labels = { admin: roleLabel.admin, member: roleLabel.member, billing: roleLabel.billing };

function answerOf(members: Member[]): string {
  const inside = members.filter(({ role }) => role !== null);
  const admins = inside.filter(({ role }) => role === 'admin').length;
  const out = members.length - inside.length;
  const people = `${inside.length} ${inside.length === 1 ? 'person' : 'people'}, ${admins} of them ${admins === 1 ? 'an admin' : 'admins'}`;
  return `${people}${out === 0 ? '' : `; ${out} kept out`}. Who loses a role on the forge loses it here within a minute.`;
}

export default page<Params>('member:see', async (ctx) => {
  const mayChange = may(ctx.role, 'member:change');
  const [members, invitations, forges] = await Promise.all([
    listMembers(ctx),
    mayChange ? listInvitations(ctx) : [],
    mayChange ? forgeConnectionsOf() : [],
  ]);
  const { slug } = ctx.tenant;
  return (
    <>
      <PageHeader title="Members" answer={answerOf(members)} />
      <Table label="Members">
        <thead>
          <tr>
            <Th>Person</Th>
            <Th>On the forge</Th>
            <Th>Role</Th>
            <Th>Why</Th>
            <Th>Checked</Th>
            {mayChange ? (
              <Th>
                <span className="sr-only">Change</span>
              </Th>
            ) : null}
          </tr>
        </thead>
        <tbody>
          {members.map((member) => (
            <MemberRow key={member.userId} member={member} slug={slug} mayChange={mayChange} />
          ))}
        </tbody>
      </Table>
      {mayChange ? (
        <>
          <Section
            id="invite"
            title="Invite somebody"
            note="For people whom the forge does not count in, and to give somebody more than it does."
            className="mt-8"
          >
            <InviteForm action={invite.bind(null, slug)} forges={ownFirst(forges, ctx.person)} labels={labels} />
          </Section>
          {invitations.length > 0 ? <Pending invitations={invitations} slug={slug} /> : null}
        </>
      ) : null}
    </>
  );
});

/** Whoever invites means most often the forge that they came from themselves. */
function ownFirst(forges: { id: string; name: string }[], { identities }: Person): { id: string; name: string }[] {
  const isOwn = ({ id }: { id: string }) => identities.some(({ connectionId }) => connectionId === id);
  return [...forges.filter(isOwn), ...forges.filter((forge) => !isOwn(forge))].map(({ id, name }) => ({ id, name }));
}

function MemberRow({ member, slug, mayChange }: { member: Member; slug: string; mayChange: boolean }) {
  const { userId, name, logins, role, setAt, checkedAt, source, isSelf } = member;
  return (
    <Tr>
      <Td className="font-medium">
        {name} {isSelf ? <Tag>you</Tag> : null}
      </Td>
      <Td className="text-ink-2">
        {logins.map(({ forge, login }) => (
          <span key={`${forge} ${login}`} className="block">
            {login} <span className="text-ink-3">{forge}</span>
          </span>
        ))}
      </Td>
      <Td>{role === null ? <Badge tone="idle">No access</Badge> : roleLabel[role]}</Td>
      <Td className="min-w-52 text-ink-2">
        {reasonOf(member)}
        {setAt === null ? null : (
          <span className="block text-sm text-ink-3">
            <RelativeTime at={setAt} />
          </span>
        )}
      </Td>
      <Td>{source === 'forge' ? <RelativeTime at={checkedAt} /> : '–'}</Td>
      {mayChange ? (
        <Td>
          <RoleForm
            key={`${userId} ${role} ${member.override}`}
            action={setRole.bind(null, slug)}
            member={member}
            labels={labels}
          />
        </Td>
      ) : null}
    </Tr>
  );
}

function Pending({ invitations, slug }: { invitations: PendingInvitation[]; slug: string }) {
  return (
    <Section title="Pending invitations">
      <Table label="Pending invitations">
        <thead>
          <tr>
            <Th>For</Th>
            <Th>Role</Th>
            <Th>By</Th>
            <Th>Made</Th>
            <Th>Ends</Th>
            <Th>
              <span className="sr-only">Revoke</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {invitations.map(({ id, login, forge, role, invitedBy, createdAt, expiresAt }) => (
            <Tr key={id}>
              <Td>
                {login} <span className="text-ink-3">{forge}</span>
              </Td>
              <Td>{roleLabel[role]}</Td>
              <Td>{invitedBy}</Td>
              <Td>
                <RelativeTime at={createdAt} />
              </Td>
              <Td>
                <RelativeTime at={expiresAt} />
              </Td>
              <Td>
                <ButtonForm action={revoke.bind(null, slug)} fields={{ invitationId: id }} look="secondary" small>
                  Revoke <span className="sr-only">the invitation of {login}</span>
                </ButtonForm>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
