import type { Metadata } from 'next';
import Link from 'next/link';
import { systemClock } from '#lib/clock.ts';
import { tenantKindLabel } from '#lib/model/index.ts';
import { clusterView, type ClusterView, type MoveRow, type StandingTenant } from '#lib/tenancy/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { BazelWayForm } from '#components/cache/bazel-way-form.tsx';
import { ClusterStateForm, PlanMoveForm } from '#components/cluster/cluster-forms.tsx';
import { ClusterHealthBadge, ClusterStateBadge, MoveStateBadge, PodsHeld } from '#components/cluster/cluster-state.tsx';
import { CapacityForm } from '#components/tenant/capacity-form.tsx';
import { TenantName, TenantStateBadge } from '#components/tenant/tenant-name.tsx';
import { Mono } from '#components/ui/code.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { RowName, Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { changeWay } from '../../caches/actions.ts';
import { enterCapacity, planAway, setState } from '../actions.ts';

export const metadata: Metadata = { title: 'Cluster · Operator' };

type Params = { cluster: string };

export default operatorPage<Params>('operator:see', async (by, { params }) => {
  const cluster = await clusterView(by, params.cluster, systemClock.now());
  const { id, name, state, capacityCpu, capacityMemory, bazelUrl, bazelReaders } = cluster;
  return (
    <>
      <PageHeader
        above={<Link href="/operator/clusters">Clusters</Link>}
        title={name}
        answer={answerOf(cluster)}
        actions={<ClusterStateBadge state={state} />}
      />
      <About cluster={cluster} />
      <Standing cluster={cluster} />
      <Moves moves={cluster.moves} here={id} />
      <Section title="What is placed here">
        <Card>
          <ClusterStateForm action={setState} cluster={id} state={state} />
        </Card>
      </Section>
      <Section title="What it holds" note="All that its tenants may be given together: a grant is held to it.">
        <Card>
          <CapacityForm action={enterCapacity} cluster={id} cpu={capacityCpu} memory={capacityMemory} />
        </Card>
      </Section>
      <Section title="The Bazel caches here">
        <Card>
          <BazelWayForm action={changeWay} clusterId={id} bazelUrl={bazelUrl ?? ''} bazelReaders={bazelReaders ?? ''} />
        </Card>
      </Section>
    </>
  );
});

function answerOf({ state, health, standing, targets }: ClusterView): string {
  const count = standing.length;
  const stand = `${count === 0 ? 'No tenant stands' : `${count} ${count === 1 ? 'tenant stands' : 'tenants stand'}`} here`;
  const trouble = health.kind === 'good' ? '' : ` ${health.words}`;
  if (state === 'open') return `${stand}, and new ones may be placed here.${trouble}`;
  if (state === 'closed') return `${stand}, and no new one is placed here.${trouble}`;
  if (count === 0) return `${stand} any more: it is drained.${trouble}`;
  const how =
    targets.length === 0 ? 'No other cluster is open to move them to.' : 'Each is moved by a plan of its own.';
  return `${stand} and ${count === 1 ? 'is' : 'are'} to be moved. ${how}${trouble}`;
}

function About({ cluster }: { cluster: ClusterView }) {
  const { id, way, health, kubernetesVersion, controllerVersion, reachableAt, pools, attic, holdsPods } = cluster;
  return (
    <Section title="About it">
      <Card>
        <Facts
          rows={[
            ['Id', <Mono key="id">{id}</Mono>],
            ['Reached by', way],
            ['Health', <ClusterHealthBadge key="health" health={health} />],
            ['Last answered', reachableAt ? <RelativeTime key="at" at={reachableAt} /> : 'never'],
            ['Kubernetes', kubernetesVersion ?? 'not known'],
            ['Runner controller', controllerVersion ? `ARC ${controllerVersion}` : 'not found'],
            ['Runners’ pods', <PodsHeld key="held" holds={holdsPods} />],
            ['Pools', pools.length === 0 ? 'all of the catalog' : pools.join(', ')],
            ['Attic', attic ?? 'none'],
            ['Given to tenants', sizeWords(cluster.given, cluster)],
            ['Promised to pools', `${cluster.promised.cpu} CPU, ${cluster.promised.memory}`],
            ['Used now', `${cluster.used.cpu} CPU, ${cluster.used.memory}`],
          ]}
        />
      </Card>
    </Section>
  );
}

function sizeWords({ cpu, memory }: ClusterView['given'], { capacityCpu, capacityMemory }: ClusterView): string {
  if (capacityCpu === null || capacityMemory === null) return `${cpu} CPU, ${memory}; what it holds is not known`;
  return `${cpu} of ${capacityCpu} CPU, ${memory} of ${capacityMemory}`;
}

function Standing({ cluster }: { cluster: ClusterView }) {
  const { standing, targets } = cluster;
  const toMove = standing.filter(({ mayMove }) => mayMove);
  return (
    <Section title="Tenants here">
      {standing.length === 0 ? (
        <EmptyState title="No tenant stands here">A new one is placed where most room is left.</EmptyState>
      ) : (
        <Table label="Tenants here">
          <thead>
            <tr>
              <Th>Tenant</Th>
              <Th>Kind</Th>
              <Th>State</Th>
              <Th numeric>Enrollments</Th>
              <Th numeric>Runners now</Th>
              <Th>Move</Th>
            </tr>
          </thead>
          <tbody>
            {standing.map((tenant) => (
              <Tenant key={tenant.slug} tenant={tenant} />
            ))}
          </tbody>
        </Table>
      )}
      {toMove.length > 0 && targets.length > 0 ? (
        <details className="mt-4 rounded-lg border bg-surface p-4">
          <summary className="cursor-pointer font-medium">Move a tenant to another cluster</summary>
          <div className="mt-4">
            <PlanMoveForm action={planAway} tenants={toMove} targets={targets} />
          </div>
        </details>
      ) : null}
    </Section>
  );
}

function Tenant({ tenant }: { tenant: StandingTenant }) {
  const { slug, displayName, kind, state, enrollments, runners, below, move } = tenant;
  return (
    <Tr>
      <Td>
        <TenantName slug={slug} displayName={displayName} />
      </Td>
      <Td>{tenantKindLabel[kind]}</Td>
      <Td>
        <TenantStateBadge state={state} />
      </Td>
      <Td numeric>{enrollments}</Td>
      <Td numeric>{runners}</Td>
      <Td className="min-w-40 wrap-anywhere">
        {move ? (
          <Link href={`/operator/clusters/moves/${move.id}`} className="text-accent hover:underline">
            From {move.from} to {move.to}
          </Link>
        ) : below ? (
          <span className="text-ink-3">with {below}</span>
        ) : (
          '–'
        )}
      </Td>
    </Tr>
  );
}

function Moves({ moves, here }: { moves: readonly MoveRow[]; here: string }) {
  if (moves.length === 0) return null;
  return (
    <Section title="Moves">
      <Table label="Moves">
        <thead>
          <tr>
            <Th>Tenant</Th>
            <Th>Way</Th>
            <Th>State</Th>
            <Th>Planned</Th>
          </tr>
        </thead>
        <tbody>
          {moves.map(({ id, displayName, from, to, state, createdAt, createdBy }) => (
            <Tr key={id}>
              <Td>
                <RowName href={`/operator/clusters/moves/${id}`} name={displayName} />
              </Td>
              <Td className="min-w-32 wrap-anywhere">{to === here ? `From ${from}` : `To ${to}`}</Td>
              <Td>
                <MoveStateBadge state={state} />
              </Td>
              <Td>
                <RelativeTime at={createdAt} /> <span className="text-ink-3">by {createdBy}</span>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
