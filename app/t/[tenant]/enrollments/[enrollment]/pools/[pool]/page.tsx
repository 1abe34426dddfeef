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
  const kept = detail.forgeKind === 'gitlab' ? 'held' : 'kept warm';
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
            ['Now', `${detail.warmNow} ${kept}`],
            [
              'Next change',
              detail.next ? (
                <>
                  {detail.next.wall}, <RelativeTime at={detail.next.at} />: {detail.next.runners} {kept}
                </>
              ) : (
                'None within a week'
              ),
            ],
          ]}
        />
      </Section>
      <Section title="Warm runners" note={warmNotes[detail.forgeKind]}>
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
            minLabel={minLabels[detail.forgeKind]}
            unit={detail.forgeKind === 'gitlab' ? 'places' : 'runners'}
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

const warmNotes: Record<PoolDetail['forgeKind'], string> = {
  github:
    'Runners that wait before there is a job start it at once, and are paid while they wait. The quota holds at every hour: it was promised for the maximum.',
  gitlab:
    'At GitLab a runner starts with its job, so what is kept warm is a place for it: a pod that does nothing, as large as a job, holds a node that runs and ends where a job needs it. A place is paid as a runner is, and counts in the maximum: so many jobs fewer run at once while it is held.',
  forgejo:
    'At Forgejo runners wait for jobs themselves. A schedule says how many of them stand at which hour; the others keep their registration and have no pod.',
};

const minLabels: Record<PoolDetail['forgeKind'], string> = {
  github: 'Always kept warm',
  gitlab: 'Held outside of the windows',
  forgejo: 'Stand outside of the windows',
};

function answerOf({ forgeKind, warmNow, next, schedule, maxRunners }: PoolDetail): string {
  const jobs = maxRunners - warmNow;
  const now =
    forgeKind === 'gitlab'
      ? `${warmNow} ${warmNow === 1 ? 'place is' : 'places are'} held beside at most ${jobs} ${jobs === 1 ? 'job' : 'jobs'} at once now`
      : `${warmNow} of at most ${maxRunners} ${maxRunners === 1 ? 'runner is' : 'runners are'} kept warm now`;
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
