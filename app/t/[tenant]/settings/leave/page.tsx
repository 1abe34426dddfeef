import type { Metadata } from 'next';
import Link from 'next/link';
import type { ReactNode } from 'react';
import { departureOf, leaving, type Departure, type Leaving } from '#lib/tenancy/index.ts';
import { page, type Ctx } from '#lib/tenant/index.ts';
import { Refresh } from '#components/app/refresh.tsx';
import { TypedForm } from '#components/form/typed-form.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { tenantTitle } from '../../title.ts';
import { leave } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Leave', props.params);
}

export default page<Params>('tenant:leave', async (ctx) => {
  const report = await departureOf(ctx);
  if (report) return <Report report={report} name={ctx.tenant.displayName} />;
  const what = await leaving(ctx);
  return ctx.tenant.state === 'leaving' ? (
    <Progress what={what} slug={ctx.tenant.slug} />
  ) : (
    <Preview ctx={ctx} what={what} />
  );
});

function list(items: readonly string[], none: string): ReactNode {
  if (items.length === 0) return none;
  return (
    <ul>
      {items.map((item) => (
        <li key={item} className="break-all">
          {item}
        </li>
      ))}
    </ul>
  );
}

function Preview({ ctx, what }: { ctx: Ctx; what: Leaving }) {
  const labels = what.enrollments.flatMap((each) => each.labels);
  return (
    <>
      <PageHeader
        title={`Leave with ${ctx.tenant.displayName}`}
        answer="This is all that would go. Nothing is removed by looking at it."
      />
      <Section title="What goes">
        <Card>
          <Facts
            rows={[
              [
                'Enrollments',
                list(
                  what.enrollments.map(({ name, scope }) => `${name}: ${scope}`),
                  'none',
                ),
              ],
              ['Labels', list(labels, 'none')],
              ['Namespaces', list(what.namespaces, 'none')],
              ['Cache views', list(what.views, 'none')],
              ['Requests that are open', String(what.openRequests)],
              [
                'Keys of Apps of your own',
                list(
                  what.apps.map(({ slug, account }) => `${slug} of ${account}`),
                  'none',
                ),
              ],
            ]}
          />
        </Card>
      </Section>
      <Section title="What is kept">
        <p className="max-w-prose text-ink-2">
          What was used and what it cost, for who pays, and the audit record. The slug {ctx.tenant.slug} is never given
          out again. Running jobs are lost.
        </p>
      </Section>
      {what.below.length > 0 ? (
        <Callout tone="warn" title="Other tenants are below this one.">
          {what.below.map(({ displayName }) => displayName).join(', ')}: they leave, or move, first.
        </Callout>
      ) : (
        <Section title="Leave">
          <Card>
            <TypedForm
              action={leave.bind(null, ctx.tenant.slug)}
              typed={ctx.tenant.slug}
              toDo="to leave with all of this"
              button="Leave the platform"
            />
          </Card>
        </Section>
      )}
    </>
  );
}

function Progress({ what, slug }: { what: Leaving; slug: string }) {
  return (
    <>
      <Refresh everyMs={2000} />
      <PageHeader
        title="Leaving"
        answer={
          what.enrollments.length === 0
            ? 'All is withdrawn; what might be left is looked for now.'
            : `${what.enrollments.length === 1 ? 'One enrollment is' : `${what.enrollments.length} enrollments are`} being withdrawn.`
        }
      />
      <ul className="grid gap-3" aria-live="polite">
        {what.enrollments.map(({ id, name, headline }) => (
          <li key={id} className="rounded-lg border bg-surface p-4">
            <Link href={`/t/${slug}/enrollments/${id}`} className="font-medium text-accent hover:underline">
              {name}
            </Link>
            <p className="text-ink-2">{headline}</p>
          </li>
        ))}
      </ul>
    </>
  );
}

const places = { forge: 'Forge', cluster: 'Cluster', cache: 'Cache' } as const;

function Report({ report, name }: { report: Departure; name: string }) {
  return (
    <>
      <PageHeader
        title={`${name} has left`}
        answer={
          <>
            Nothing of it is left on forge, cluster and cache, as looked for <RelativeTime at={report.at} />.
          </>
        }
      />
      {report.evidence.length > 0 ? (
        <Section title="What was looked for">
          <Table label="What was looked for">
            <thead>
              <tr>
                <Th>Where</Th>
                <Th>What</Th>
                <Th>Found</Th>
                <Th>How we know</Th>
              </tr>
            </thead>
            <tbody>
              {report.evidence.map(({ where, what, gone, how }) => (
                <Tr key={`${where}/${what}`}>
                  <Td>{places[where]}</Td>
                  <Td className="font-mono text-sm">{what}</Td>
                  <Td>
                    <Badge tone={gone ? 'good' : 'bad'}>{gone ? 'Gone' : 'There'}</Badge>
                  </Td>
                  <Td className="text-ink-2">{how}</Td>
                </Tr>
              ))}
            </tbody>
          </Table>
        </Section>
      ) : null}
      {report.todo.length > 0 ? <Section title="Yours to do">{list(report.todo, '')}</Section> : null}
      <Section title="What is kept">{list(report.kept, '')}</Section>
    </>
  );
}
