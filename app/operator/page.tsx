import type { Metadata } from 'next';
import Link from 'next/link';
import { tenantKindLabel } from '#lib/model/index.ts';
import { systemClock } from '#lib/clock.ts';
import { judge, readStatus, type Judged } from '#lib/status/index.ts';
import { clusterRows, type ClusterRow } from '#lib/tenancy/index.ts';
import { operatorOverview, operatorPage, type OperatorOverview } from '#lib/tenant/index.ts';
import { ClusterName } from '#components/cluster/cluster-name.tsx';
import { ClusterHealthBadge, ClusterStateBadge, PodsHeld } from '#components/cluster/cluster-state.tsx';
import { TenantName, TenantStateBadge } from '#components/tenant/tenant-name.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader, Section, Stat, Stats } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, StatusIcon } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { answerOf, toneOf } from './health/words.ts';

export const metadata: Metadata = { title: 'Operator' };

export default operatorPage('operator:see', async () => {
  const [overview, clusters, status] = await Promise.all([
    operatorOverview(),
    clusterRows(systemClock.now()),
    readStatus(),
  ]);
  const { failing, waiting, tenants, forges } = overview;
  return (
    <>
      <PageHeader
        title="What needs me"
        answer={`${waitingWords(waiting)} ${failingWords(failing.length)}`}
        actions={
          waiting > 0 ? (
            <LinkButton href="/operator/approvals" look="primary">
              Decide {waiting === 1 ? 'it' : 'them'}
            </LinkButton>
          ) : null
        }
      />
      <HealthLine judged={judge(status)} />
      <Stats>
        <Stat label="Waiting for you" value={waiting} />
        <Stat label="Tenants" value={tenants.length} />
        <Stat label="Clusters" value={clusters.length} />
        <Stat label="Forges" value={forges.length} />
        <Stat label="Failing tasks" value={failing.length} />
      </Stats>
      <Failing failing={failing} />
      <Tenants tenants={tenants} />
      <Clusters clusters={clusters} />
      <Forges forges={forges} />
    </>
  );
});

function HealthLine({ judged }: { judged: Judged }) {
  return (
    <p className="-mt-3 mb-6 flex items-start gap-2">
      <span className="mt-0.5">
        <StatusIcon tone={toneOf[judged.state]} />
      </span>
      <span>
        <Link href="/operator/health" className="font-medium text-accent hover:underline">
          Health
        </Link>
        : {answerOf(judged)}
      </span>
    </p>
  );
}

function waitingWords(count: number): string {
  if (count === 0) return 'Nothing waits for your decision.';
  return `${count} ${count === 1 ? 'request waits' : 'requests wait'} for your decision.`;
}

function failingWords(count: number): string {
  if (count === 0) return 'No task is failing.';
  return `${count} ${count === 1 ? 'task is' : 'tasks are'} failing and tried again.`;
}

function Failing({ failing }: Pick<OperatorOverview, 'failing'>) {
  if (failing.length === 0) return null;
  return (
    <Section title="Failing tasks">
      <Table label="Failing tasks">
        <thead>
          <tr>
            <Th>Task</Th>
            <Th numeric>Attempts</Th>
            <Th>Last error</Th>
            <Th>Next</Th>
          </tr>
        </thead>
        <tbody>
          {failing.map(({ kind, key, attempts, lastError, dueAt }) => (
            <Tr key={`${kind}/${key}`}>
              <Td className="font-mono text-sm">
                {kind} {key}
              </Td>
              <Td numeric>{attempts}</Td>
              <Td className="text-ink-2">{lastError ?? '–'}</Td>
              <Td>
                <RelativeTime at={dueAt} />
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}

function Tenants({ tenants }: Pick<OperatorOverview, 'tenants'>) {
  return (
    <Section title="Tenants">
      {tenants.length === 0 ? (
        <EmptyState title="No tenant yet">One comes with the first enrollment.</EmptyState>
      ) : (
        <Table label="Tenants">
          <thead>
            <tr>
              <Th>Tenant</Th>
              <Th>Kind</Th>
              <Th>State</Th>
              <Th>Cluster</Th>
              <Th numeric>Enrollments</Th>
              <Th numeric>Members</Th>
            </tr>
          </thead>
          <tbody>
            {tenants.map(({ slug, displayName, kind, state, cluster, enrollments, members }) => (
              <Tr key={slug}>
                <Td>
                  <TenantName slug={slug} displayName={displayName} />
                </Td>
                <Td>{tenantKindLabel[kind]}</Td>
                <Td>
                  <TenantStateBadge state={state} />
                </Td>
                <Td className="min-w-32 wrap-anywhere">{cluster}</Td>
                <Td numeric>{enrollments}</Td>
                <Td numeric>{members}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Section>
  );
}

function Clusters({ clusters }: { clusters: readonly ClusterRow[] }) {
  return (
    <Section
      title="Clusters"
      actions={
        <Link href="/operator/clusters" className="text-accent hover:underline">
          All of them
        </Link>
      }
    >
      <Table label="Clusters">
        <thead>
          <tr>
            <Th>Cluster</Th>
            <Th>Takes tenants</Th>
            <Th>Health</Th>
            <Th>Runners’ pods</Th>
            <Th numeric>Tenants</Th>
          </tr>
        </thead>
        <tbody>
          {clusters.map(({ id, name, state, health, holdsPods, tenants }) => (
            <Tr key={id}>
              <Td>
                <ClusterName id={id} name={name} />
              </Td>
              <Td>
                <ClusterStateBadge state={state} />
              </Td>
              <Td>
                <ClusterHealthBadge health={health} />
              </Td>
              <Td>
                <PodsHeld holds={holdsPods} />
              </Td>
              <Td numeric>{tenants}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}

function Forges({ forges }: Pick<OperatorOverview, 'forges'>) {
  return (
    <Section title="Forge connections">
      <Table label="Forge connections">
        <thead>
          <tr>
            <Th>Forge</Th>
            <Th>Address</Th>
            <Th>App</Th>
            <Th numeric>Enrollments</Th>
          </tr>
        </thead>
        <tbody>
          {forges.map(({ id, name, baseUrl, hasApp, enrollments }) => (
            <Tr key={id}>
              <Td>
                {name} <span className="font-mono text-sm text-ink-3">{id}</span>
              </Td>
              <Td className="font-mono text-sm">{baseUrl}</Td>
              <Td>{hasApp ? <Badge tone="good">Set up</Badge> : <Badge tone="warn">Sign-in only</Badge>}</Td>
              <Td numeric>{enrollments}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
