import { describe, expect, test } from 'vitest';
import type { ClusterSeen, ForgeSeen, ProcessSeen, QueueSeen, StatusFacts } from './facts.ts';
import { judge, lasting, limits, type Area, type Check, type State } from './judge.ts';

const at = '2026-11-26T12:00:00.000Z';
const now = Date.parse(at);
const ago = (seconds: number) => now - seconds * 1000;

const worker: ProcessSeen = {
  id: 'a',
  kind: 'worker',
  host: 'node-1',
  startedAt: at,
  seenAt: at,
  silentSeconds: 2,
  isStopped: false,
  memoryBytes: 200e6,
  missingMigrations: [],
};
const web: ProcessSeen = { ...worker, id: 'b', kind: 'web' };
const cluster: ClusterSeen = {
  id: 'main',
  name: 'Main',
  answeredAt: ago(10),
  failedAt: null,
  failure: null,
  controllerVersion: '0.14.2',
  controllerSeenAt: at,
  enrollments: 4,
  needsController: true,
  meteringSeconds: 12,
  cutOff: [],
};
const forge: ForgeSeen = {
  id: 'github',
  name: 'GitHub',
  kind: 'github',
  answeredAt: ago(60),
  failedAt: null,
  failure: null,
  allowance: { remaining: 4000, limit: 5000, resetsAt: now + 600_000 },
  lastDeliveryAt: at,
  enrollments: 4,
};
const enrollments: QueueSeen = { task: 'enrollment', keys: 4, due: 0, held: 0, failing: 0, ageSeconds: 0 };
const well: StatusFacts = {
  at,
  processes: [worker, web],
  queue: [enrollments],
  failing: { count: 0, shown: [] },
  clusters: [cluster],
  forges: [forge],
  unsent: null,
  database: {
    answerMs: 3,
    connections: 30,
    connectionsMost: 100,
    sizeBytes: 1e9,
    isReadOnly: false,
    lastMigration: '20261127200001_process_reports',
    unfinishedMigrations: [],
  },
};

function found(facts: Partial<StatusFacts>, area: Area, subject?: string): Check {
  const { checks } = judge({ ...well, ...facts });
  const own = checks.filter((check) => check.area === area && (subject === undefined || check.subject === subject));
  if (own.length !== 1) throw new Error(`${own.length} checks of ${area}`);
  return own[0] as Check;
}

test('where all is well, all is well, and nothing is to be done', () => {
  const { state, checks } = judge(well);
  expect(state).toBe('ok');
  expect(checks.filter((check) => check.state !== 'ok' || check.todo !== null)).toEqual([]);
  expect(checks.length).toBe(9);
});

test('of two clusters that are called alike, each is told of by its id', () => {
  const other = { ...cluster, id: 'other', answeredAt: ago(301), failedAt: ago(2), failure: 'x' };
  const { checks } = judge({ ...well, clusters: [cluster, other] });
  const stateOf = (id: string) => checks.find((check) => check.area === 'clusters' && check.id === id)?.state;
  expect([stateOf(cluster.id), stateOf('other')]).toEqual(['ok', 'broken']);
});

const unsent = { tenant: 'cmux', endpointId: 'e', ageSeconds: 30, overdueSeconds: 0, tries: 1 };
const window = { remaining: 499, limit: 5000, resetsAt: now + 600_000 };
const { database } = well;

const cases: [what: string, facts: Partial<StatusFacts>, area: Area, state: State, words: RegExp, subject?: string][] =
  [
    ['no process at all', { processes: [] }, 'processes', 'broken', /No worker tells/],
    ['a web process alone', { processes: [web] }, 'processes', 'broken', /No worker tells/],
    [
      'a worker that was told to end',
      { processes: [{ ...worker, isStopped: true }] },
      'processes',
      'broken',
      /No worker/,
    ],
    ['a worker that is silent', { processes: [{ ...worker, silentSeconds: 21 }] }, 'processes', 'broken', /No worker/],
    [
      'one of two that died',
      { processes: [worker, web, { ...worker, host: 'node-2', silentSeconds: 300 }] },
      'processes',
      'attention',
      /worker process on node-2 has been silent for 5 min/,
    ],
    [
      'one that died long ago',
      { processes: [worker, { ...worker, silentSeconds: 4000 }] },
      'processes',
      'ok',
      /1 worker/,
    ],
    [
      'one that ended as it was told',
      { processes: [worker, { ...web, isStopped: true, silentSeconds: 300 }] },
      'processes',
      'ok',
      /0 web/,
    ],
    [
      'a worker that is too large',
      { processes: [{ ...worker, memoryBytes: 301e6 }] },
      'processes',
      'attention',
      /300 MB/,
    ],
    [
      'keys that wait a moment',
      { queue: [{ ...enrollments, due: 2, ageSeconds: 60 }] },
      'queue',
      'ok',
      /2 keys wait.*for 1 min/,
    ],
    ['keys that wait', { queue: [{ ...enrollments, due: 1, ageSeconds: 61 }] }, 'queue', 'attention', /1 key waits/],
    [
      'keys that nobody takes',
      { queue: [{ ...enrollments, due: 1, ageSeconds: 601 }] },
      'queue',
      'broken',
      /for 10 min/,
    ],
    [
      'a key that fails',
      { failing: { count: 1, shown: [] }, queue: [{ ...enrollments, failing: 1 }] },
      'failing',
      'attention',
      /1 key has failed/,
    ],
    [
      'half of all enrollments',
      { failing: { count: 2, shown: [] }, queue: [{ ...enrollments, failing: 2 }] },
      'failing',
      'broken',
      /50 % of all/,
    ],
    [
      'the one enrollment there is',
      { failing: { count: 1, shown: [] }, queue: [{ ...enrollments, keys: 1, failing: 1 }] },
      'failing',
      'attention',
      /1 key/,
    ],
    [
      'a cluster that failed and answered since',
      { clusters: [{ ...cluster, failedAt: ago(20), failure: 'x' }] },
      'clusters',
      'ok',
      /answered 10 s ago.*0\.14\.2/,
    ],
    [
      'a cluster that fails',
      { clusters: [{ ...cluster, answeredAt: ago(200), failedAt: ago(2), failure: 'It answers 503.' }] },
      'clusters',
      'attention',
      /It answers 503\. It last answered 3 min ago/,
    ],
    [
      'a cluster that is away',
      { clusters: [{ ...cluster, answeredAt: ago(301), failedAt: ago(2), failure: 'x' }] },
      'clusters',
      'broken',
      /5 min ago/,
    ],
    [
      'a cluster that never answered',
      { clusters: [{ ...cluster, answeredAt: null, failedAt: ago(2), failure: 'x' }] },
      'clusters',
      'broken',
      /not answered/,
    ],
    [
      'a cluster of which nothing is heard',
      { clusters: [{ ...cluster, answeredAt: ago(361) }] },
      'clusters',
      'attention',
      /6 min ago/,
    ],
    [
      'a cluster that nobody asked',
      { clusters: [{ ...cluster, answeredAt: null }] },
      'clusters',
      'attention',
      /No running process/,
    ],
    [
      'a cluster that nobody uses',
      { clusters: [{ ...cluster, answeredAt: null, enrollments: 0, needsController: false }] },
      'clusters',
      'ok',
      /Nobody/,
    ],
    [
      'a cluster without the controller',
      { clusters: [{ ...cluster, controllerVersion: null }] },
      'clusters',
      'attention',
      /No Actions Runner Controller/,
    ],
    [
      'one that needs none',
      { clusters: [{ ...cluster, controllerVersion: null, needsController: false }] },
      'clusters',
      'ok',
      /answered/,
    ],
    [
      'metering two minutes old',
      { clusters: [{ ...cluster, meteringSeconds: 121 }] },
      'metering',
      'attention',
      /2 min ago/,
    ],
    [
      'metering ten minutes old',
      { clusters: [{ ...cluster, meteringSeconds: 601 }] },
      'metering',
      'broken',
      /10 min ago/,
    ],
    [
      'metering that never was',
      { clusters: [{ ...cluster, meteringSeconds: null }] },
      'metering',
      'attention',
      /not been read yet/,
    ],
    [
      'a cluster that answers all but one worker',
      { clusters: [{ ...cluster, cutOff: [{ host: 'node-2', failure: 'It refuses connections.' }] }] },
      'clusters',
      'attention',
      /answers others, and not the worker on node-2 \(It refuses connections\)\.$/,
    ],
    [
      'a forge that fails',
      { forges: [{ ...forge, failedAt: ago(1), failure: 'It answers 502.' }] },
      'forges',
      'attention',
      /502\. It last answered 1 min ago/,
    ],
    [
      'a forge that is away',
      { forges: [{ ...forge, answeredAt: ago(301), failedAt: ago(1), failure: 'x' }] },
      'forges',
      'broken',
      /5 min ago/,
    ],
    [
      'a forge whose limit is near',
      { forges: [{ ...forge, allowance: window }] },
      'forges',
      'attention',
      /499 of 5000.*for the next 10 min/,
    ],
    [
      'a forge whose limit is reached',
      { forges: [{ ...forge, allowance: { ...window, remaining: 0 } }] },
      'forges',
      'broken',
      /0 of 5000/,
    ],
    [
      'a window that is over',
      { forges: [{ ...forge, allowance: { ...window, resetsAt: now } }] },
      'forges',
      'ok',
      /answered/,
    ],
    [
      'a forge that nobody asked',
      { forges: [{ ...forge, answeredAt: null, allowance: null, enrollments: 0 }] },
      'forges',
      'ok',
      /not asked lately/,
    ],
    [
      'a forge that nobody asked, though somebody is enrolled there',
      { forges: [{ ...forge, answeredAt: null, allowance: null }] },
      'forges',
      'attention',
      /No running process has asked it/,
    ],
    [
      'a forge that was asked within its time',
      { forges: [{ ...forge, answeredAt: ago(limits.unaskedSeconds) }] },
      'forges',
      'ok',
      /answered 30 min ago/,
    ],
    [
      'a forge that nobody has asked since',
      { forges: [{ ...forge, answeredAt: ago(limits.unaskedSeconds + 1) }] },
      'forges',
      'attention',
      /last answered 30 min ago/,
    ],
    ['a message that waits', { unsent }, 'webhooks', 'ok', /of cmux, has waited for 30 s and was tried 1 time/],
    [
      'a message that should be sent',
      { unsent: { ...unsent, overdueSeconds: 301 } },
      'webhooks',
      'attention',
      /5 min ago/,
    ],
    [
      'a message that nobody takes',
      { unsent: { ...unsent, ageSeconds: 7201, tries: 9 } },
      'webhooks',
      'attention',
      /for 2 h.*9 times/,
    ],
    [
      'a database that is slow',
      { database: { ...database, answerMs: 201 } },
      'database',
      'attention',
      /201 ms/,
      'Answers',
    ],
    [
      'connections that grow few',
      { database: { ...database, connections: 80 } },
      'database',
      'attention',
      /80 of 100/,
      'Answers',
    ],
    [
      'connections that are used up',
      { database: { ...database, connections: 95 } },
      'database',
      'broken',
      /95 of 100/,
      'Answers',
    ],
    [
      'a database that may only be read',
      { database: { ...database, isReadOnly: true } },
      'database',
      'broken',
      /only be read/,
      'Answers',
    ],
    [
      'a migration that is missing',
      { processes: [{ ...worker, missingMigrations: ['2026_x'] }] },
      'database',
      'broken',
      /needs 2026_x/,
      'Migrations',
    ],
    [
      'a migration that broke off',
      { database: { ...database, unfinishedMigrations: ['2026_y'] } },
      'database',
      'broken',
      /2026_y began/,
      'Migrations',
    ],
  ];

describe('limits', () => {
  test.each(cases)('%s', (_, facts, area, state, words, subject) => {
    const check = found(facts, area, subject);
    expect([check.state, check.words]).toEqual([state, expect.stringMatching(words)]);
    // What is not as it should be says what to do, and nothing else does.
    expect(check.todo === null).toBe(state === 'ok');
    expect(judge({ ...well, ...facts }).state).toBe(
      judge({ ...well, ...facts }).checks.some((each) => each.state === 'broken') ? 'broken' : state,
    );
  });

  test('each area is shown in each of its states', () => {
    const seen = new Set(cases.map(([, , area, state]) => `${area} ${state}`));
    for (const area of ['processes', 'queue', 'failing', 'clusters', 'metering', 'forges', 'database'])
      expect([area, seen.has(`${area} attention`), seen.has(`${area} broken`)]).toEqual([area, true, true]);
    expect(Object.values(limits).every((limit) => limit > 0)).toBe(true);
  });
});

test.each([
  [0.4, '0 s'],
  [59, '59 s'],
  [60, '1 min'],
  [7199, '120 min'],
  [7200, '2 h'],
  [200_000, '2 days'],
])('%d seconds are %s', (seconds, words) => expect(lasting(seconds)).toBe(words));
