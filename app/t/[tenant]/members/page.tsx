import type { Metadata } from 'next';
import { listMembers, page, roleLabel, type Member } from '#lib/tenant/index.ts';
import { PageHeader } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Tag } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { tenantTitle } from '../title.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Members', props.params);
}

const reasons: Record<Member['source'], string> = {
  forge: 'Follows the role on the forge',
  invitation: 'Was invited',
  operator: 'Given by the operator',
};

export default page<Params>('member:see', async (ctx) => {
  const members = await listMembers(ctx);
  const admins = members.filter(({ role }) => role === 'admin').length;
  return (
    <>
      <PageHeader
        title="Members"
        answer={`${members.length} ${members.length === 1 ? 'person' : 'people'}, ${admins} of them ${admins === 1 ? 'an admin' : 'admins'}. Roles follow the forge: who loses one there loses it here.`}
      />
      <Table label="Members">
        <thead>
          <tr>
            <Th>Person</Th>
            <Th>On the forge</Th>
            <Th>Role</Th>
            <Th>Why</Th>
            <Th>Checked</Th>
          </tr>
        </thead>
        <tbody>
          {members.map(({ userId, name, logins, role, source, checkedAt, isSelf }) => (
            <Tr key={userId}>
              <Td className="font-medium">
                {name} {isSelf ? <Tag>you</Tag> : null}
              </Td>
              <Td className="text-ink-2">
                {logins.map(({ connectionId, login }) => `${login} (${connectionId})`).join(', ')}
              </Td>
              <Td>{roleLabel[role]}</Td>
              <Td className="text-ink-2">{reasons[source]}</Td>
              <Td>
                <RelativeTime at={checkedAt} />
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </>
  );
});
