import type { Metadata } from 'next';
import { enrollmentDraft, type EnrollmentDraft } from '#lib/enrollment/index.ts';
import {
  amountsOf,
  cpuMillicores,
  hasDaemon,
  labelKey,
  memoryBytes,
  securityClassWords,
  type Amounts,
} from '#lib/model/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { PoolsForm, type FormPool } from '#components/enrollment/pools-form.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Steps } from '#components/ui/steps.tsx';
import { wizardSteps } from '../../../../../(person)/enroll/steps.ts';
import { choosePools } from '../../actions.ts';

export const metadata: Metadata = { title: 'Enroll: pools' };

const gib = 1024 ** 3;

function amount({ cpu, memory, storage, runners }: Amounts) {
  return {
    cpu: Number(cpu) / 1000,
    memoryGib: Number(memory) / gib,
    storageGib: Number(storage) / gib,
    runners: Number(runners),
  };
}

function formPool(pool: EnrollmentDraft['pools'][number], draft: EnrollmentDraft): FormPool {
  const choice = draft.draft.pools.find((candidate) => candidate.pool === pool.name);
  const { cpu, memory, name, description, label, ready, mostRunners } = pool;
  return {
    name,
    description,
    label,
    ready,
    unready: pool.unready,
    daemon: hasDaemon(pool.securityClass) ? securityClassWords[pool.securityClass] : null,
    mostRunners,
    size: ready ? `${cpu} CPU, ${memory}` : '',
    cpu: cpu === null ? 0 : Number(cpuMillicores(cpu)) / 1000,
    memoryGib: memory === null ? 0 : Number(memoryBytes(memory)) / gib,
    storageGib: Number(memoryBytes(pool.storage)) / gib,
    pricePerHour: pool.pricePerRunnerHour === null ? null : Number(pool.pricePerRunnerHour),
    chosen: choice !== undefined,
    minRunners: choice?.minRunners ?? 0,
    maxRunners: choice?.maxRunners ?? Math.min(2, Math.max(mostRunners, 1)),
  };
}

type Params = { tenant: string; enrollment: string };

export default page<Params>('enrollment:see', async (ctx, { params }) => {
  const draft = await enrollmentDraft(ctx, params.enrollment);
  const where = { slug: ctx.tenant.slug, enrollment: draft.id };
  return (
    <>
      <Steps steps={wizardSteps(where)} at={2} />
      <PageHeader
        above={`${draft.scope.path} on ${draft.forgeName}`}
        title="Which pools, and how many runners?"
        answer={
          draft.forgeKind === 'forgejo'
            ? 'All runners of a pool wait for jobs all the time, each taking one at a time. Nothing is changed yet.'
            : 'Runners start when a job waits for their label, and end with it. Nothing is changed yet.'
        }
      />
      <PoolsForm
        action={choosePools.bind(null, ctx.tenant.slug)}
        enrollmentId={draft.id}
        pools={draft.pools.map((pool) => formPool(pool, draft))}
        quota={amount(amountsOf(draft.quota))}
        others={amount(draft.promised)}
        currency={draft.pools.find(({ currency }) => currency !== null)?.currency ?? 'USD'}
        labelKey={labelKey[draft.forgeKind]}
        mayKeepWarm={draft.forgeKind === 'github'}
        canEdit={may(ctx.role, 'enrollment:plan')}
      />
    </>
  );
});
