import type { Metadata } from 'next';
import Link from 'next/link';
import { listStatements, listTags, periodAt, type TagRow } from '#lib/billing/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { BillingTabs, tenantTabs } from '#components/billing/billing-tabs.tsx';
import { TagForm } from '#components/billing/rate-forms.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../../../money.ts';
import { tenantTitle } from '../../title.ts';
import { tag, untag } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Statements', props.params);
}

export default page<Params>('billing:see', async (ctx) => {
  const [statements, tags] = await Promise.all([listStatements(ctx), listTags(ctx)]);
  const mayChange = may(ctx.role, 'budget:change');
  const { slug } = ctx.tenant;
  const now = periodAt(new Date());
  const [last] = statements;
  const answer = last
    ? `The last closed month is ${last.period}: ${money(last.total, last.currency)}.`
    : 'No month is closed yet.';
  const link = (period: string) => (
    <Link href={`/t/${slug}/billing/statements/${period}`} className="font-medium text-accent hover:underline">
      {period}
    </Link>
  );
  return (
    <>
      <PageHeader title="Statements" answer={answer} />
      <BillingTabs tabs={tenantTabs(slug)} here="Statements" />
      <Section
        title="Months"
        note="A month is closed once, two days after its end. What comes later is a correction of the next one."
      >
        <Table label="Statements">
          <thead>
            <tr>
              <Th>Month</Th>
              <Th>State</Th>
              <Th>Number</Th>
              <Th numeric>Total</Th>
              <Th>Closed</Th>
            </tr>
          </thead>
          <tbody>
            <Tr>
              <Td>{link(now)}</Td>
              <Td>
                <Badge tone="busy">Goes on</Badge>
              </Td>
              <Td>–</Td>
              <Td numeric>–</Td>
              <Td>–</Td>
            </Tr>
            {statements.map(({ period, number, currency, total, closedAt }) => (
              <Tr key={period}>
                <Td>{link(period)}</Td>
                <Td>
                  <Badge tone="good">Closed</Badge>
                </Td>
                <Td className="font-mono text-sm">{number}</Td>
                <Td numeric>{money(total, currency)}</Td>
                <Td>
                  <RelativeTime at={closedAt} />
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      </Section>
      <Section
        title="Tags"
        note="Words of your own, such as a cost center. They go into the FOCUS export as they are written, beside the repository and the workflow."
      >
        {tags.length > 0 ? <Tags tags={tags} slug={slug} mayChange={mayChange} /> : null}
        {mayChange ? <TagForm action={tag.bind(null, slug)} /> : null}
      </Section>
    </>
  );
});

function Tags({ tags, slug, mayChange }: { tags: TagRow[]; slug: string; mayChange: boolean }) {
  return (
    <div className="mb-4">
      <Table label="Tags">
        <thead>
          <tr>
            <Th>Tag</Th>
            <Th>Value</Th>
            <Th>Of</Th>
            {mayChange ? (
              <Th>
                <span className="sr-only">Act</span>
              </Th>
            ) : null}
          </tr>
        </thead>
        <tbody>
          {tags.map(({ repository, key, value }) => (
            <Tr key={`${repository} ${key}`}>
              <Td className="font-medium break-all">{key}</Td>
              <Td className="break-all">{value}</Td>
              <Td className="break-all">{repository === '' ? 'the whole tenant' : repository}</Td>
              {mayChange ? (
                <Td>
                  <ButtonForm action={untag.bind(null, slug)} fields={{ repository, key }} look="danger" small>
                    Remove<span className="sr-only"> {key}</span>
                  </ButtonForm>
                </Td>
              ) : null}
            </Tr>
          ))}
        </tbody>
      </Table>
    </div>
  );
}
