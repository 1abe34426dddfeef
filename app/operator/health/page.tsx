import type { Metadata } from 'next';
import Link from 'next/link';
import type { ReactNode } from 'react';
import {
  beatMs,
  judge,
  lasting,
  limits,
  readStatus,
  worst,
  type Area,
  type Check,
  type Judged,
  type StatusFacts,
  works,
} from '#lib/status/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { Refresh } from '#components/app/refresh.tsx';
import { ClusterName } from '#components/cluster/cluster-name.tsx';
import { bytes } from '#components/ui/figures.ts';
import { Mono } from '#components/ui/code.tsx';
import { Facts, PageHeader, Section, Stat, Stats } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { answerOf, stateWords, toneOf } from './words.ts';

export const metadata: Metadata = { title: 'Health' };

export default operatorPage('operator:see', async () => {
  const facts = await readStatus();
  const judged = judge(facts);
  const oldest = Math.max(0, ...facts.queue.map(({ ageSeconds }) => ageSeconds));
  const workers = facts.processes.filter((each) => each.kind === 'worker' && works(each));
  const lags = facts.clusters.flatMap(({ meteringSeconds }) => meteringSeconds ?? []);
  return (
    <>
      <Refresh everyMs={beatMs} />
      <PageHeader title="Health" answer={answerOf(judged)} />
      <Stats>
        <Stat label="Workers" value={workers.length} />
        <Stat label="Oldest key waits" value={lasting(oldest)} />
        <Stat label="Failing keys" value={facts.failing.count} />
        <Stat label="Metering is behind" value={lags.length === 0 ? '–' : lasting(Math.max(...lags))} />
        <Stat label="Database answers" value={`${Math.round(facts.database.answerMs)} ms`} />
      </Stats>
      <Processes facts={facts} judged={judged} />
      <Queue facts={facts} judged={judged} />
      <Failing facts={facts} judged={judged} />
      <Clusters facts={facts} judged={judged} />
      <Forges facts={facts} judged={judged} />
      <Webhooks judged={judged} />
      <Database facts={facts} judged={judged} />
    </>
  );
});

type Shown = { facts: StatusFacts; judged: Judged };

function checksOf({ checks }: Judged, ...areas: Area[]): Check[] {
  return checks.filter(({ area }) => areas.includes(area));
}

/** A part with its state, what is seen, and what to do; what it is judged by stands beneath. */
function Part({ title, checks, by, children }: { title: string; checks: Check[]; by: string; children?: ReactNode }) {
  const state = worst(checks);
  const trouble = checks.filter((check) => check.state !== 'ok');
  return (
    <Section title={title} actions={<Badge tone={toneOf[state]}>{stateWords[state]}</Badge>}>
      <div className="grid gap-3">
        {trouble.map(({ area, subject, id, words, todo, state: own }) => (
          <Callout
            key={`${area} ${id} ${words}`}
            tone={toneOf[own]}
            title={<span className="wrap-anywhere">{subject ? `${subject}: ${words}` : words}</span>}
          >
            {todo}
          </Callout>
        ))}
        {trouble.length === 0 && children === undefined
          ? checks.map(({ words }) => (
              <p key={words} className="text-ink-2">
                {words}
              </p>
            ))
          : null}
        {children}
        <p className="text-sm text-ink-3">{by}</p>
      </div>
    </Section>
  );
}

function State({ check }: { check: Check | undefined }) {
  return check ? <Badge tone={toneOf[check.state]}>{stateWords[check.state]}</Badge> : null;
}

function Processes({ facts: { processes }, judged }: Shown) {
  const by = `A process writes every ${beatMs / 1000} s. Attention: one that was not told to end is silent for ${limits.silentSeconds} s, or a worker holds more than ${limits.workerMemoryBytes / 1e6} MB. Broken: no worker.`;
  return (
    <Part title="Processes" checks={checksOf(judged, 'processes')} by={by}>
      {processes.length === 0 ? (
        <EmptyState title="No process has told of itself">A worker does within seconds of its start.</EmptyState>
      ) : (
        <Table label="Processes">
          <thead>
            <tr>
              <Th>Process</Th>
              <Th>State</Th>
              <Th>Since</Th>
              <Th>Last seen</Th>
              <Th numeric>Memory</Th>
            </tr>
          </thead>
          <tbody>
            {processes.map((each) => (
              <Tr key={each.id}>
                <Td className="min-w-40">
                  {each.kind === 'worker' ? 'Worker' : 'Web'}
                  <span className="block font-mono text-sm break-all text-ink-3">{each.host}</span>
                </Td>
                <Td>
                  {each.isStopped ? (
                    <Badge tone="idle">Ended</Badge>
                  ) : works(each) ? (
                    <Badge tone="good">Works</Badge>
                  ) : (
                    <Badge tone="warn">Silent</Badge>
                  )}
                </Td>
                <Td>
                  <RelativeTime at={each.startedAt} />
                </Td>
                <Td>
                  <RelativeTime at={each.seenAt} />
                </Td>
                <Td numeric>{bytes(each.memoryBytes)}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Part>
  );
}

function Queue({ facts: { queue }, judged }: Shown) {
  const by = `Attention: the oldest key that is due has waited for ${lasting(limits.queueAttentionSeconds)}. Broken: for ${lasting(limits.queueBrokenSeconds)}.`;
  return (
    <Part title="The queue" checks={checksOf(judged, 'queue')} by={by}>
      {queue.length === 0 ? (
        <EmptyState title="The queue is empty">
          Keys come with the first enrollment, and with the first worker.
        </EmptyState>
      ) : (
        <Table label="The queue">
          <thead>
            <tr>
              <Th>Task</Th>
              <Th numeric>Keys</Th>
              <Th numeric>Due</Th>
              <Th numeric>Held</Th>
              <Th numeric>Failing</Th>
              <Th numeric>Oldest due</Th>
            </tr>
          </thead>
          <tbody>
            {queue.map(({ task, keys, due, held, failing, ageSeconds }) => (
              <Tr key={task}>
                <Td className="font-mono text-sm">{task}</Td>
                <Td numeric>{keys}</Td>
                <Td numeric>{due}</Td>
                <Td numeric>{held}</Td>
                <Td numeric>{failing}</Td>
                <Td numeric>{due === 0 ? '–' : lasting(ageSeconds)}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Part>
  );
}

function Failing({ facts: { failing }, judged }: Shown) {
  const by = `Attention: one fails. Broken: ${limits.failingBrokenShare * 100} % of all enrollments do.`;
  const part = { title: 'Keys that are tried again', checks: checksOf(judged, 'failing'), by };
  if (failing.count === 0) return <Part {...part} />;
  return (
    <Part {...part}>
      <Table label="Keys that are tried again">
        <thead>
          <tr>
            <Th>Key</Th>
            <Th numeric>Tries</Th>
            <Th>Why the last one failed</Th>
            <Th>Next</Th>
          </tr>
        </thead>
        <tbody>
          {failing.shown.map(({ task, key, name, href, attempts, reason, nextAt }) => (
            <Tr key={`${task} ${key}`}>
              <Td>
                <span className="font-mono text-sm">{task}</span>
                <span className="block">
                  {href ? (
                    <Link href={href} className="text-accent hover:underline">
                      {name}
                    </Link>
                  ) : (
                    <span className="font-mono text-sm text-ink-3">{key}</span>
                  )}
                </span>
              </Td>
              <Td numeric>{attempts}</Td>
              <Td className="min-w-64 break-words text-ink-2">{reason}</Td>
              <Td>
                <RelativeTime at={nextAt} />
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
      {failing.count > failing.shown.length ? (
        <p className="text-sm text-ink-3">
          The {failing.shown.length} that failed most often, of {failing.count}.
        </p>
      ) : null}
    </Part>
  );
}

function Clusters({ facts: { clusters }, judged }: Shown) {
  const own = checksOf(judged, 'clusters', 'metering');
  const by = `Attention: it fails, a worker alone has not reached it for ${lasting(limits.cutOffSeconds)}, nothing was heard of it for ${lasting(limits.unheardSeconds)}, or what runs was not read for ${lasting(limits.meteringAttentionSeconds)}. Broken: it fails for ${lasting(limits.awayBrokenSeconds)}, or was not read for ${lasting(limits.meteringBrokenSeconds)}.`;
  return (
    <Part title="Clusters" checks={own} by={by}>
      {clusters.length === 0 ? (
        <EmptyState title="No cluster yet">An operator imports each as a document.</EmptyState>
      ) : (
        <Table label="Clusters">
          <thead>
            <tr>
              <Th>Cluster</Th>
              <Th>State</Th>
              <Th>Answered</Th>
              <Th>Runner controller</Th>
              <Th numeric>Metering is behind</Th>
              <Th numeric>Enrollments</Th>
            </tr>
          </thead>
          <tbody>
            {clusters.map(({ id, name, answeredAt, controllerVersion, meteringSeconds, enrollments }) => (
              <Tr key={id}>
                <Td>
                  <ClusterName id={id} name={name || id} />
                </Td>
                <Td>
                  <State check={own.find((check) => check.area === 'clusters' && check.id === id)} />
                </Td>
                <Td className="whitespace-nowrap">
                  {answeredAt === null ? 'Not lately' : <RelativeTime at={new Date(answeredAt).toISOString()} />}
                </Td>
                <Td>{controllerVersion ? `ARC ${controllerVersion}` : '–'}</Td>
                <Td numeric>{meteringSeconds === null ? '–' : lasting(meteringSeconds)}</Td>
                <Td numeric>{enrollments}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Part>
  );
}

function Forges({ facts: { forges, at }, judged }: Shown) {
  const own = checksOf(judged, 'forges');
  const by = `Attention: it fails, nobody has asked it for ${lasting(limits.unaskedSeconds)} though somebody is enrolled there, or one who asks has less than ${limits.allowanceAttentionShare * 100} % of a window left. Broken: it fails for ${lasting(limits.awayBrokenSeconds)}, or nothing is left.`;
  return (
    <Part title="Forges" checks={own} by={by}>
      {forges.length === 0 ? (
        <EmptyState title="No forge yet">An operator enters each on the page Forges.</EmptyState>
      ) : (
        <Table label="Forges">
          <thead>
            <tr>
              <Th>Forge</Th>
              <Th>State</Th>
              <Th>Answered</Th>
              <Th numeric>Requests left</Th>
              <Th>Last delivery</Th>
              <Th numeric>Enrollments</Th>
            </tr>
          </thead>
          <tbody>
            {forges.map(({ id, name, answeredAt, allowance, lastDeliveryAt, enrollments }) => (
              <Tr key={id}>
                <Td>
                  {name} <span className="font-mono text-sm text-ink-3">{id}</span>
                </Td>
                <Td>
                  <State check={own.find((check) => check.id === id)} />
                </Td>
                <Td>{answeredAt === null ? 'Not lately' : <RelativeTime at={new Date(answeredAt).toISOString()} />}</Td>
                <Td numeric>
                  {allowance && allowance.resetsAt > Date.parse(at)
                    ? `${allowance.remaining} of ${allowance.limit}`
                    : '–'}
                </Td>
                <Td>{lastDeliveryAt === null ? 'None this week' : <RelativeTime at={lastDeliveryAt} />}</Td>
                <Td numeric>{enrollments}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      )}
    </Part>
  );
}

function Webhooks({ judged }: Pick<Shown, 'judged'>) {
  const by = `Attention: one should have been sent ${lasting(limits.overdueSeconds)} ago, or was tried for ${lasting(limits.unsentSeconds)}.`;
  return <Part title="Webhooks of tenants" checks={checksOf(judged, 'webhooks')} by={by} />;
}

function Database({ facts: { database }, judged }: Shown) {
  const { answerMs, connections, connectionsMost, sizeBytes, lastMigration } = database;
  const by = `Attention: it answers after ${limits.answerAttentionMs} ms, or ${limits.connectionsAttentionShare * 100} % of its connections are in use. Broken: ${limits.connectionsBrokenShare * 100} % are, it may only be read, or a migration is missing.`;
  return (
    <Part title="Database" checks={checksOf(judged, 'database')} by={by}>
      <Facts
        rows={[
          ['Answers within', `${Math.round(answerMs)} ms`],
          ['Connections', `${connections} of ${connectionsMost}`],
          ['Size', bytes(sizeBytes)],
          ['Last migration', <Mono key="migration">{lastMigration ?? 'none'}</Mono>],
        ]}
      />
    </Part>
  );
}
