import type { Metadata } from 'next';
import Link from 'next/link';
import { systemClock } from '#lib/clock.ts';
import { poolDetail, type PoolDetail } from '#lib/enrollment/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { WarmthForm } from '#components/pool/warmth-form.tsx';
import { Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import { tenantTitle } from '../../../../title.ts';
import { changeWarmth, followCatalog } from './actions.ts';

type Params = { tenant: string; enrollment: string; pool: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Pool', props.params);
}

/** Where the browser is may tell of a zone; the server suggests what is known of all. */
const zones = ['UTC', ...Intl.supportedValuesOf('timeZone')];

export default page<Params>('pool:see', async (ctx, { params }) => {
  const { slug } = ctx.tenant;
  const { enrollment: enrollmentId, pool } = params;
  const detail = await poolDetail(ctx, { enrollmentId, pool, now: systemClock.now() });
  const mayPlan = may(ctx.role, 'enrollment:plan') && detail.state !== 'withdrawn' && detail.state !== 'withdrawing';
  const fields = { enrollmentId: detail.enrollmentId, pool: detail.pool };
  return (
    <>
      <PageHeader
        above={<Link href={`/t/${slug}/enrollments/${detail.enrollmentId}`}>{detail.path}</Link>}
        title={detail.label}
        answer={answerOf(detail)}
      />
      <Standing detail={detail} />
      <Section title="Sizes">
        <Facts
          rows={[
            ['A runner', detail.size],
            ['At most', `${detail.maxRunners} at once`],
            ['Now', `${detail.warmNow} kept warm`],
            [
              'Next change',
              detail.next ? (
                <>
                  {detail.next.wall}, <RelativeTime at={detail.next.at} />: {detail.next.runners} kept warm
                </>
              ) : (
                'None within a week'
              ),
            ],
          ]}
        />
      </Section>
      <Section
        title="Warm runners"
        note={
          detail.forgeKind === 'forgejo'
            ? 'At Forgejo runners wait for jobs themselves. A schedule says how many of them stand at which hour; the others keep their registration and have no pod.'
            : 'Runners that wait before there is a job start it at once, and are paid while they wait. The quota holds at every hour: it was promised for the maximum.'
        }
      >
        {detail.refusal ? (
          <Callout tone="note" title="No schedule can be had here">
            A schedule {detail.refusal}.
          </Callout>
        ) : (
          <WarmthForm
            action={changeWarmth.bind(null, slug)}
            fields={fields}
            minRunners={detail.minRunners}
            schedule={detail.schedule}
            zones={zones}
            first={detail.preview}
            canEdit={mayPlan}
            minLabel={detail.forgeKind === 'forgejo' ? 'Stand outside of the windows' : 'Always kept warm'}
          />
        )}
      </Section>
      {detail.isAdopted && mayPlan ? (
        <Section
          title="The template that was taken over"
          note="To follow the catalog its runners must be made anew, once those that work have ended. The plan says what differs."
        >
          <ButtonForm action={followCatalog.bind(null, slug)} fields={fields} look="secondary">
            Follow the catalog in the next plan
          </ButtonForm>
        </Section>
      ) : null}
    </>
  );
});

function answerOf({ warmNow, next, schedule, maxRunners }: PoolDetail): string {
  const now = `${warmNow} of at most ${maxRunners} ${maxRunners === 1 ? 'runner is' : 'runners are'} kept warm now`;
  if (next) return `${now}, ${next.runners} from ${next.wall} on.`;
  return schedule ? `${now}; the schedule changes nothing within a week.` : `${now}, at every hour.`;
}

function Standing({ detail }: { detail: PoolDetail }) {
  const { asked, maxRunners, isAdopted, isBehind } = detail;
  return (
    <div className="mb-6 grid gap-3 empty:hidden">
      {asked > maxRunners ? (
        <Callout tone="note" title={`A fair share: ${maxRunners} of the ${asked} that were asked for`}>
          The tenant’s capacity is shared, and together its organizations ask for more than there is.
        </Callout>
      ) : null}
      {isAdopted ? (
        <Callout tone="note" title="This runner set was taken over">
          Its pods are made by the template that it had. They do not bear the portal’s labels, so they are not metered
          until the pool follows the catalog.
        </Callout>
      ) : null}
      {isBehind ? (
        <Callout tone="note" title="The operator has changed this pool">
          Its runners are made as they were approved until a plan brings the change here.
        </Callout>
      ) : null}
    </div>
  );
}
