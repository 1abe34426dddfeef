import type { Metadata } from 'next';
import { systemClock } from '#lib/clock.ts';
import { clusterRows, type ClusterRow } from '#lib/tenancy/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { ClusterName } from '#components/cluster/cluster-name.tsx';
import { ClusterHealthBadge, ClusterStateBadge } from '#components/cluster/cluster-state.tsx';
import { CodeBlock } from '#components/ui/code.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

export const metadata: Metadata = { title: 'Clusters · Operator' };

export default operatorPage('operator:see', async () => {
  const clusters = await clusterRows(systemClock.now());
  return (
    <>
      <PageHeader title="Clusters" answer={answerOf(clusters)} />
      {clusters.length === 0 ? <NoCluster /> : <Clusters clusters={clusters} />}
    </>
  );
});

function answerOf(clusters: readonly ClusterRow[]): string {
  const open = clusters.filter(({ state }) => state === 'open').length;
  const [bad, unlooked] = [countOf(clusters, 'bad'), countOf(clusters, 'unlooked')];
  const many = `${clusters.length} ${clusters.length === 1 ? 'cluster' : 'clusters'}`;
  const takes = open === 0 ? 'none takes new tenants' : `${open} ${open === 1 ? 'takes' : 'take'} new tenants`;
  const trouble = bad === 0 ? 'None is in trouble' : `${bad} ${bad === 1 ? 'is' : 'are'} in trouble`;
  const unknown = unlooked === 0 ? '' : `; ${unlooked} ${unlooked === 1 ? 'is' : 'are'} not looked at`;
  return `${many}, ${takes}. ${trouble}${unknown}.`;
}

function countOf(clusters: readonly ClusterRow[], kind: ClusterRow['health']['kind']): number {
  return clusters.filter(({ health }) => health.kind === kind).length;
}

function NoCluster() {
  return (
    <EmptyState title="No cluster yet">
      <p className="mb-3">Where a cluster is, no browser says: it comes from a document that an operator imports.</p>
      <CodeBlock text="npm run -s flywheel -- operator import -f cluster.yaml" label="The command" />
    </EmptyState>
  );
}

function Clusters({ clusters }: { clusters: readonly ClusterRow[] }) {
  return (
    <Table label="Clusters">
      <thead>
        <tr>
          <Th>Cluster</Th>
          <Th>Takes tenants</Th>
          <Th>Health</Th>
          <Th>Versions</Th>
          <Th numeric>Tenants</Th>
          <Th numeric>Given to tenants</Th>
        </tr>
      </thead>
      <tbody>
        {clusters.map((cluster) => (
          <Row key={cluster.id} cluster={cluster} />
        ))}
      </tbody>
    </Table>
  );
}

function Row({ cluster }: { cluster: ClusterRow }) {
  const { id, name, state, health, kubernetesVersion, controllerVersion, tenants, moving } = cluster;
  return (
    <Tr>
      <Td>
        <ClusterName id={id} name={name} />
      </Td>
      <Td>
        <ClusterStateBadge state={state} />
      </Td>
      <Td>
        <ClusterHealthBadge health={health} />
      </Td>
      <Td className="whitespace-nowrap">
        {kubernetesVersion ? `Kubernetes ${kubernetesVersion}` : '–'}
        <span className="block text-sm text-ink-3">
          {controllerVersion ? `ARC ${controllerVersion}` : 'no ARC found'}
        </span>
      </Td>
      <Td numeric>
        {tenants}
        {moving > 0 ? (
          <span className="block">
            <Badge tone="busy">{moving} moving</Badge>
          </span>
        ) : null}
      </Td>
      <Td numeric>
        <Given cluster={cluster} />
      </Td>
    </Tr>
  );
}

/** Of what the cluster holds. What pools may take of it, and take, is on its own page. */
function Given({ cluster: { given, capacityCpu, capacityMemory, share } }: { cluster: ClusterRow }) {
  return (
    <>
      <span className="block whitespace-nowrap">
        {given.cpu} of {capacityCpu ?? '?'} CPU
      </span>
      <span className="block whitespace-nowrap">
        {given.memory} of {capacityMemory ?? '?'}
      </span>
      {share !== null && share > 1 ? <Badge tone="bad">More than it holds</Badge> : null}
    </>
  );
}
