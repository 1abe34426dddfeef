import type { Metadata } from 'next';
import Link from 'next/link';
import type { TenantKind } from '#lib/model/index.ts';
import { tenantKindLabel } from '#lib/model/index.ts';
import { operatorOverview, operatorPage, type OperatorOverview } from '#lib/tenant/index.ts';
import { CapacityForm } from '#components/tenant/capacity-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader, Section, Stat, Stats } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

import { enterCapacity } from './tenants/actions.ts';

export const metadata: Metadata = { title: 'Operator' };

export default operatorPage('operator:see', async () => {
  const overview = await operatorOverview();
  const { failing, waiting, tenants, clusters, forges } = overview;
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
                  <Link href={`/t/${slug}`} className="font-medium text-accent hover:underline">
                    {displayName}
                  </Link>
                  <span className="block font-mono text-sm text-ink-3">{slug}</span>
                </Td>
                <Td>{tenantKindLabel[kind as TenantKind]}</Td>
                <Td>
                  <Badge tone={state === 'active' ? 'good' : state === 'suspended' ? 'bad' : 'idle'}>{state}</Badge>
                </Td>
                <Td>{cluster}</Td>
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

function Clusters({ clusters }: Pick<OperatorOverview, 'clusters'>) {
  return (
    <Section title="Clusters">
      <Table label="Clusters">
        <thead>
          <tr>
            <Th>Cluster</Th>
            <Th>Runner controller</Th>
            <Th>Reached</Th>
            <Th>Runners’ pods</Th>
            <Th numeric>Tenants</Th>
            <Th>Capacity for tenants</Th>
          </tr>
        </thead>
        <tbody>
          {clusters.map(
            ({ id, name, controllerVersion, reachableAt, holdsPods, tenants, capacityCpu, capacityMemory }) => (
              <Tr key={id}>
                <Td>
                  {name} <span className="font-mono text-sm text-ink-3">{id}</span>
                </Td>
                <Td>{controllerVersion ? `ARC ${controllerVersion}` : <Badge tone="warn">Not found yet</Badge>}</Td>
                <Td>{reachableAt ? <RelativeTime at={reachableAt} /> : <Badge tone="warn">Never</Badge>}</Td>
                <Td>
                  <PodsHeld holds={holdsPods} />
                </Td>
                <Td numeric>{tenants}</Td>
                <Td>
                  <CapacityForm action={enterCapacity} cluster={id} cpu={capacityCpu} memory={capacityMemory} />
                </Td>
              </Tr>
            ),
          )}
        </tbody>
      </Table>
    </Section>
  );
}

/** Whether the API server itself keeps the pods of tenants to the runners' profile. */
function PodsHeld({ holds }: { holds: boolean | null }) {
  if (holds === null) return <Badge tone="idle">Not looked at yet</Badge>;
  if (holds) return <Badge tone="good">Held to their profile</Badge>;
  return (
    <>
      <Badge tone="warn">Not held</Badge>
      <span className="block max-w-xs text-sm text-ink-2">
        The admission policy flywheel-runner-pods is missing, is another, or the portal may not see it. Apply
        runner-pods.yaml and portal-rbac.yaml.
      </span>
    </>
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
