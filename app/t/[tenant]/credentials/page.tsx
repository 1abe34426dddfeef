import type { Metadata } from 'next';
import Link from 'next/link';
import { listCredentials, tokenWish, type CredentialRow } from '#lib/enrollment/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { TokenForm } from '#components/enrollment/token-form.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { tenantTitle } from '../title.ts';
import { replaceToken, rotate } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Credentials', props.params);
}

function namesOf(rows: CredentialRow[], standing: CredentialRow['standing']): string {
  return rows.flatMap((row) => (row.standing === standing ? [row.enrollment] : [])).join(', ');
}

function answerOf(rows: CredentialRow[]): string {
  if (rows.length === 0) return 'No credential is kept.';
  const [ended, ending] = [namesOf(rows, 'ended'), namesOf(rows, 'ends-soon')];
  if (ended !== '') return `The access token of ${ended} has ended. Enter a new one below.`;
  if (ending !== '') return `The access token of ${ending} ends within two weeks. Enter a new one below.`;
  return `${rows.length} kept, all sealed. None needs you.`;
}

export default page<Params>('credential:see', async (ctx) => {
  const rows = await listCredentials(ctx);
  const mayChange = may(ctx.role, 'credential:change');
  const tokens = mayChange ? rows.filter(({ kind }) => kind === 'forge-token') : [];
  return (
    <>
      <PageHeader title="Credentials" answer={answerOf(rows)} />
      {rows.length === 0 ? (
        <EmptyState title="Nothing is kept yet">
          Access tokens, cache tokens and registrations of runners appear here when something is enrolled. None is ever
          shown again after it was entered or made.
        </EmptyState>
      ) : (
        <Credentials rows={rows} slug={ctx.tenant.slug} mayChange={mayChange} />
      )}
      {tokens.length > 0 ? (
        <div className="mt-8">
          <Section
            title="New access tokens"
            note="A new one is tried at the forge before the old one is let go, so that runners are never without."
          >
            <div className="grid gap-4">
              {tokens.map((row) => (
                <NewToken key={row.id} ctx={ctx} row={row} />
              ))}
            </div>
          </Section>
        </div>
      ) : null}
    </>
  );
});

type ListProps = { rows: CredentialRow[]; slug: string; mayChange: boolean };

function Credentials({ rows, slug, mayChange }: ListProps) {
  return (
    <Table label="Credentials">
      <thead>
        <tr>
          <Th>For</Th>
          <Th>Enrollment</Th>
          <Th>Of</Th>
          <Th>Since</Th>
          <Th>Last used</Th>
          <Th>Ends</Th>
          <Th>{mayChange ? <span className="sr-only">Rotate</span> : 'Renewed by'}</Th>
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <Tr key={row.id}>
            <Td className="min-w-48">
              <span className="break-words">{row.purpose}</span>
            </Td>
            <Td>
              {row.enrollment} <span className="block text-sm text-ink-3">{row.forgeName}</span>
            </Td>
            <Td>{row.owner}</Td>
            <Td>
              <RelativeTime at={row.keptAt} />
            </Td>
            <Td>
              <LastUse row={row} />
            </Td>
            <Td>
              <Ends row={row} />
            </Td>
            <Td>{mayChange ? <Rotate row={row} slug={slug} /> : renewers[row.renewedBy]}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function LastUse({ row: { usedAt, untoldBy } }: { row: CredentialRow }) {
  if (usedAt) return <RelativeTime at={usedAt} />;
  return <span className="text-ink-3">{untoldBy ? `not told by ${untoldBy}` : 'not yet'}</span>;
}

function Ends({ row: { standing, expiresAt } }: { row: CredentialRow }) {
  if (standing === 'ended') return <Badge tone="bad">Has ended</Badge>;
  const end = expiresAt ? <RelativeTime at={expiresAt} /> : 'never';
  if (standing === 'works') return end;
  return (
    <>
      {end}
      <span className="block">
        <Badge tone="warn">Needs you</Badge>
      </span>
    </>
  );
}

const renewers = { portal: 'the portal, before it ends', person: 'an admin' };

function Rotate({ row, slug }: { row: CredentialRow; slug: string }) {
  const { enrollmentId, kind } = row;
  if (enrollmentId === null)
    return (
      <Link href={`/t/${slug}/settings/apps`} className="text-accent underline">
        Replace <span className="sr-only">{`the ${row.purpose.toLowerCase()}`}</span>
      </Link>
    );
  if (row.renewedBy === 'person') return <span className="text-ink-3">Below</span>;
  return (
    <ButtonForm action={rotate.bind(null, slug)} fields={{ enrollmentId, kind }} look="secondary" small>
      Rotate <span className="sr-only">{`what ${row.purpose.toLowerCase()}, of ${row.enrollment}`}</span>
    </ButtonForm>
  );
}

async function NewToken({ ctx, row }: { ctx: Parameters<typeof listCredentials>[0]; row: CredentialRow }) {
  const { enrollmentId } = row;
  if (enrollmentId === null) return null;
  const enrollment = await ctx.db.enrollment.findFirst({
    where: { id: enrollmentId },
    select: { connectionId: true, level: true, path: true },
  });
  const help = enrollment && (await tokenWish(enrollment.connectionId, enrollment.level, enrollment.path));
  if (!help) return null;
  return (
    <Card>
      <TokenForm
        action={replaceToken.bind(null, ctx.tenant.slug)}
        fields={{ enrollmentId }}
        help={help}
        label={`New access token for ${row.enrollment}`}
        button="Try it and replace the old one"
      />
    </Card>
  );
}
