import type { Metadata } from 'next';
import Link from 'next/link';
import { systemClock } from '#lib/clock.ts';
import { operatorPool, type OperatorPool } from '#lib/enrollment/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { PoolForm } from '#components/pool/pool-form.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { keepPool, planOut } from '../actions.ts';
import { classChoices } from '../classes.ts';

export const metadata: Metadata = { title: 'Pool' };

/** GitHub serves no runner for long whose program is older than this (docs, self-hosted runners: updates within 30 days). */
const imageDaysMost = 30;

export default operatorPage<{ pool: string }>('operator:see', async (_, { params, searchParams }) => {
  const pool = await operatorPool(params.pool, systemClock.now());
  return (
    <>
      <PageHeader above={<Link href="/operator/pools">Pools</Link>} title={pool.name} answer={answerOf(pool)} />
      <Notes pool={pool} isKept={searchParams['kept'] !== undefined} />
      <Users pool={pool} />
      <Section
        title="What it is"
        id="edit"
        note="A change alters no runner. Enrollments keep what was approved until a plan that you read brings it to them; who enrols from now on gets it at once."
      >
        <PoolForm key={pool.name} action={keepPool} pool={formOf(pool)} classes={classChoices} />
      </Section>
    </>
  );
});

function answerOf({ unready, enrollments, behind }: OperatorPool): string {
  if (unready !== null) return `It cannot be chosen: it ${unready}.`;
  if (enrollments === 0) return 'It can be chosen, and nobody has it.';
  const have = `${enrollments} ${enrollments === 1 ? 'enrollment has' : 'enrollments have'} it`;
  return behind === 0 ? `${have}, all of them as it is.` : `${have}, ${behind} of them as it was before a change.`;
}

function Notes({ pool, isKept }: { pool: OperatorPool; isKept: boolean }) {
  const { imageAgeDays, imageDigest } = pool;
  return (
    <div className="mb-6 grid gap-3 empty:hidden">
      {isKept ? <Callout tone="good" role="status" title="The pool is kept as you entered it." /> : null}
      {imageAgeDays !== null && imageAgeDays > imageDaysMost ? (
        <Callout tone="warn" title={`The image is ${imageAgeDays} days old`}>
          GitHub turns away runners whose program is older than {imageDaysMost} days after a newer one. Enter a newer
          image and roll it out.
        </Callout>
      ) : null}
      {imageDigest === null ? (
        <Callout tone="note" title="The image is named by its tag alone">
          Whoever may push that tag decides what jobs run in. A digest pins it.
        </Callout>
      ) : null}
    </div>
  );
}

function Users({ pool }: { pool: OperatorPool }) {
  return (
    <Section title="Who has it" note="And what a rollout would change of what their runners are made from.">
      {pool.users.length === 0 ? (
        <EmptyState title="Nobody">No live enrollment has chosen this pool.</EmptyState>
      ) : (
        <Table label="Enrollments with this pool">
          <thead>
            <tr>
              <Th>Tenant</Th>
              <Th>Enrollment</Th>
              <Th>Label</Th>
              <Th numeric>At most</Th>
              <Th>A rollout changes</Th>
            </tr>
          </thead>
          <tbody>
            {pool.users.map(({ tenant, tenantName, enrollmentId, enrollment, label, maxRunners, changes }) => (
              <Tr key={label}>
                <Td>{tenantName}</Td>
                <Td>
                  <Link href={`/t/${tenant}/enrollments/${enrollmentId}`}>{enrollment}</Link>
                </Td>
                <Td className="font-mono text-sm">{label}</Td>
                <Td numeric>{maxRunners}</Td>
                <Td className="text-sm">
                  {changes.length === 0
                    ? 'Nothing'
                    : changes.map(({ path, before, after }) => (
                        <span key={path} className="block break-all">
                          <code className="font-mono">{path}</code>: {before ?? 'nothing'} → {after ?? 'nothing'}
                        </span>
                      ))}
                </Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
      {pool.behind > 0 ? (
        <div className="mt-4">
          <ButtonForm action={planOut} fields={{ pool: pool.name }}>
            Plan the rollout to {pool.behind} {pool.behind === 1 ? 'enrollment' : 'enrollments'}
          </ButtonForm>
        </div>
      ) : null}
      <Rollouts pool={pool} />
    </Section>
  );
}

function Rollouts({ pool }: { pool: OperatorPool }) {
  if (pool.rollouts.length === 0) return null;
  return (
    <div className="mt-6">
      <h3 className="mb-2 font-semibold">Rollouts</h3>
      <ul className="grid gap-1">
        {pool.rollouts.map(({ id, createdAt, createdBy, plans }) => (
          <li key={id}>
            <Link href={`/operator/pools/${pool.name}/rollouts/${id}`}>
              {plans} {plans === 1 ? 'plan' : 'plans'}
            </Link>{' '}
            <span className="text-ink-3">
              by {createdBy}, <RelativeTime at={createdAt} />
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}

function formOf(pool: OperatorPool) {
  const { placement = {}, devices, imageBuiltAt, runnersMost } = pool;
  const { runtimeClass = '', kernel = '', nodeSelector = {}, tolerations = [] } = placement;
  const lines = (pairs: Record<string, string | number>) =>
    Object.entries(pairs)
      .map(([name, value]) => `${name}=${value}`)
      .join('\n');
  return {
    name: pool.name,
    description: pool.description,
    cpu: pool.cpu ?? '',
    memory: pool.memory ?? '',
    storage: pool.storage,
    image: pool.image,
    imageDigest: pool.imageDigest ?? '',
    imageBuiltAt: imageBuiltAt?.toISOString().slice(0, 10) ?? '',
    devices: lines(devices),
    needsDevice: pool.needsDevice,
    runtimeClass,
    kernel,
    nodeSelector: lines(nodeSelector),
    tolerations: tolerations
      .map(({ key, value, effect }) => `${key}${value === undefined ? '' : `=${value}`}${effect ? `:${effect}` : ''}`)
      .join('\n'),
    securityClass: pool.securityClass,
    daemonImage: pool.daemonImage ?? '',
    requiresApproval: pool.requiresApproval,
    runnersMost: runnersMost === null ? '' : String(runnersMost),
  };
}
