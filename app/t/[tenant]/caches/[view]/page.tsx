import type { Metadata } from 'next';
import Link from 'next/link';
import {
  cacheViews,
  retentionEffect,
  RetentionQuestion,
  viewDays,
  type CacheDay,
  type CacheViewRow,
  type Effect,
} from '#lib/caching/index.ts';
import { notFound } from '#lib/errors.ts';
import { nixConfig } from '#lib/model/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { TypedForm } from '#components/form/typed-form.tsx';
import { ViewForm } from '#components/cache/view-form.tsx';
import { Button } from '#components/ui/button.tsx';
import { Behind, Chart } from '#components/ui/chart.tsx';
import { CodeBlock, Mono } from '#components/ui/code.tsx';
import { NumberField } from '#components/ui/field.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { bytes, count } from '#components/ui/figures.ts';
import { tenantTitle } from '../../title.ts';
import { change, remove } from '../actions.ts';
import { ViewState } from '../view-state.tsx';

type Params = { tenant: string; view: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Cache view', props.params);
}

const daySeconds = 24 * 3600;

function answerOf({ size, isPublic, isRemoving }: CacheViewRow): string {
  if (isRemoving) return 'It is being removed from its server.';
  const who = isPublic ? 'Anybody may read it.' : 'Holders of a token may read it.';
  if (!size) return `${who} How much is in it is not known.`;
  const { objects, logicalBytes, storedBytes } = size.value;
  return `${objects.toLocaleString('en')} paths, ${bytes(logicalBytes)}, stored in ${bytes(storedBytes)}. ${who}`;
}

function retentionWords(seconds: number | null): string {
  if (seconds === null) return 'as the server is set';
  if (seconds === 0) return 'for ever';
  const days = seconds / daySeconds;
  return `${days.toLocaleString('en', { maximumFractionDigits: 2 })} ${days === 1 ? 'day' : 'days'} after the last use`;
}

export default page<Params>('cache:see', async (ctx, { params, searchParams }) => {
  const view = (await cacheViews(ctx)).find(({ id }) => id === params.view);
  if (!view) throw notFound('This view');
  const { slug } = ctx.tenant;
  const mayChange = may(ctx.role, 'cache:change') && !view.isRemoving;
  const { publicKey, substituterUrl, retentionSeconds } = view;
  return (
    <>
      <PageHeader
        above={
          <Link href={`/t/${slug}/caches`} className="hover:underline">
            Caches
          </Link>
        }
        title={<span className="break-all">{view.name}</span>}
        answer={answerOf(view)}
      />
      {view.trouble ? (
        <div className="mb-8">
          <Callout tone="bad" title="The server was not set as asked.">
            {view.trouble}
          </Callout>
        </div>
      ) : null}
      <Section title="As it is">
        <Card>
          <Facts
            rows={[
              ['State', <ViewState key="state" view={view} />],
              ['Pushed to by', view.trust === 'trusted' ? 'Trusted jobs' : 'Jobs of pools that are not trusted'],
              ['Kept', retentionWords(retentionSeconds)],
              ['Priority', view.priority],
              [
                'Upstream keys',
                view.upstreamKeys.length > 0 ? <Mono key="keys">{view.upstreamKeys.join(' ')}</Mono> : 'none',
              ],
              [
                'Last use',
                view.size?.value.lastUsedAt ? <RelativeTime key="use" at={view.size.value.lastUsedAt} /> : 'not known',
              ],
              ['Last seen', view.observedAt ? <RelativeTime key="seen" at={view.observedAt} /> : 'not yet'],
            ]}
          />
        </Card>
      </Section>
      <Reads days={await viewDays(ctx, view)} />
      {publicKey && substituterUrl ? (
        <Section title="On a laptop">
          <CodeBlock text={nixConfig([{ url: substituterUrl, publicKey }])} label="nix.conf" />
        </Section>
      ) : null}
      <Retention ctx={ctx} view={view} asked={searchParams['days']} />
      {mayChange ? (
        <Section
          title="Settings"
          note={
            view.isEnrolled ? 'Who may read it is set in the enrollments of this tenant, which make it.' : undefined
          }
        >
          <ViewForm
            action={change.bind(null, slug)}
            prefix={slug}
            view={{
              ...view,
              retentionDays: retentionSeconds === null ? null : Math.ceil(retentionSeconds / daySeconds),
            }}
            first={{ ...view, retentionDays: null }}
          />
        </Section>
      ) : null}
      {mayChange && !view.isEnrolled ? (
        <Section
          title="Remove"
          note="What was pushed to it alone is lost; what other views have of it stays. Tokens that name it read nothing there any more."
        >
          <TypedForm
            action={remove.bind(null, slug)}
            fields={{ viewId: view.id }}
            typed={view.name}
            toDo="to remove it"
            button="Remove the view"
          />
        </Section>
      ) : null}
    </>
  );
});

function effectWords(days: number, { objects, logicalBytes, storedBytes }: Effect): string {
  const after = `${days} ${days === 1 ? 'day' : 'days'}`;
  if (objects === 0) return `${after} would remove 0 paths now: all were pushed or read since.`;
  return `${after} would remove ${objects.toLocaleString('en')} paths of ${bytes(logicalBytes)} now and free ${bytes(storedBytes)} of storage; the rest of them is held by other paths.`;
}

function Reads({ days }: { days: CacheDay[] | null }) {
  if (days === null || days.every(({ hits }) => hits === 0)) return null;
  return (
    <Section
      title="What was read"
      note="At least: Attic tells when a path was last read, and not how often. What was asked for and not found is nowhere counted, so a hit rate is not known."
    >
      <Chart
        label="Paths read at least, a day"
        steps={days.map(({ day }) => day)}
        bars={[{ name: 'Paths', values: days.map(({ hits }) => hits), look: 'accent' }]}
        unit={count}
      />
      <Behind title="Paths and bytes by day">
        <Table label="Paths read by day">
          <thead>
            <tr>
              <Th>Day</Th>
              <Th numeric>Paths read, at least</Th>
              <Th numeric>Given out, about</Th>
            </tr>
          </thead>
          <tbody>
            {days.toReversed().map((day) => (
              <Tr key={day.day}>
                <Td className="whitespace-nowrap">{day.day}</Td>
                <Td numeric>{day.hits.toLocaleString('en')}</Td>
                <Td numeric>{bytes(day.servedBytes)}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      </Behind>
    </Section>
  );
}

/** A question that changes nothing: asked in the address, so that it can be shared. */
async function Retention({ ctx, view, asked }: { ctx: Ctx; view: CacheViewRow; asked: string | string[] | undefined }) {
  const question = RetentionQuestion.safeParse({ viewId: view.id, days: asked ?? '' });
  const effect = question.success ? await retentionEffect(ctx, question.data) : undefined;
  return (
    <Section
      title="What would a retention free"
      note="Attic removes what was neither pushed nor read for so long, every twelve hours."
    >
      <form method="get" className="flex max-w-md flex-wrap items-end gap-2">
        <NumberField
          name="days"
          label="After"
          unit="days"
          min={1}
          max={24_855}
          defaultValue={question.success ? String(question.data.days) : '30'}
          className="max-w-40"
          required
        />
        <Button type="submit">Estimate</Button>
      </form>
      {question.success ? (
        <p role="status" className="mt-3 max-w-prose">
          {effect
            ? effectWords(question.data.days, effect)
            : 'Not known: Attic’s database does not answer, or the operator gave no connection to it.'}
        </p>
      ) : null}
    </Section>
  );
}
