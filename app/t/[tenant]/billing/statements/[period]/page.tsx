import type { Metadata } from 'next';
import Link from 'next/link';
import { Download } from 'lucide-react';
import { payerBySlug, Period, statementOf } from '#lib/billing/index.ts';
import { notFound } from '#lib/errors.ts';
import { page } from '#lib/tenant/index.ts';
import { StatementLines } from '#components/billing/statement-lines.tsx';
import { OutsideButton } from '#components/ui/button.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { money } from '../../../../../money.ts';
import { tenantTitle } from '../../../title.ts';

type Params = { tenant: string; period: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Statement', props.params);
}

export default page<Params>('billing:see', async (ctx, { params }) => {
  const period = Period.safeParse(params.period);
  if (!period.success) throw notFound('This month');
  const { slug } = ctx.tenant;
  const statement = await statementOf(await payerBySlug(slug), period.data, new Date());
  const { closed, missing, total, currency, gaps } = statement;
  const amount = money(total.toFixed(), currency);
  const file = (format: string) => `/t/${slug}/billing/statements/${period.data}/file?format=${format}`;
  return (
    <>
      <PageHeader
        above={
          <Link href={`/t/${slug}/billing/statements`} className="hover:underline">
            Statements
          </Link>
        }
        title={
          <>
            {period.data} {closed ? <Badge tone="good">Closed</Badge> : <Badge tone="wait">Draft</Badge>}
          </>
        }
        answer={
          closed
            ? `${amount}, closed on ${closed.at.slice(0, 10)} as ${closed.number}.`
            : `${amount} so far; nothing of it is final.`
        }
        actions={(['pdf', 'csv'] as const).map((format) => (
          <OutsideButton key={format} href={file(format)} download>
            <Download size={16} aria-hidden />
            {format.toUpperCase()}
          </OutsideButton>
        ))}
      />
      {missing.length > 0 ? (
        <div className="mb-6">
          <Callout tone="wait" title="What is missing to close it">
            <ul>
              {missing.map((each) => (
                <li key={each}>{each}</li>
              ))}
            </ul>
          </Callout>
        </div>
      ) : null}
      {gaps.length > 0 ? (
        <div className="mb-6">
          <Callout tone="warn" title="The cluster was not looked at all the time">
            {gaps.length} {gaps.length === 1 ? 'gap' : 'gaps'} in the month: what began and ended within one is not
            charged.
          </Callout>
        </div>
      ) : null}
      <Section title="Lines" note="Each line is rounded to cents by itself, and the total is the sum of the lines.">
        <StatementLines
          currency={currency}
          total={total.toFixed()}
          lines={statement.lines.map((line) => ({
            key: line.key,
            kind: line.kind,
            description: line.description,
            quantity: line.quantity?.toFixed() ?? null,
            unit: line.unit,
            unitPrice: line.unitPrice?.toFixed() ?? null,
            listCost: line.listCost.toFixed(),
            cost: line.contractedCost.toFixed(),
          }))}
        />
      </Section>
    </>
  );
});
