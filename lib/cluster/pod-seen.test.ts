import { describe, expect, test } from 'vitest';
import { poolLabel } from './objects.ts';
import { eventSeen, podSeen, type KubeEvent, type KubePod } from './pod-seen.ts';

const now = new Date('2026-11-25T12:00:00Z');
const minutesAgo = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString();

function pod(status: KubePod['status'], more: Partial<KubePod['metadata']> = {}): KubePod {
  const metadata = {
    name: 'cmux-docker-x7k2m',
    namespace: 'runners-cmux',
    creationTimestamp: minutesAgo(1),
    labels: { [poolLabel]: 'docker' },
    ...more,
  };
  return { metadata, spec: {}, ...(status ? { status } : {}) };
}

const waiting = (reason: string, message?: string, last?: { exitCode: number; reason?: string }) => ({
  phase: 'Running',
  containerStatuses: [
    {
      name: 'runner',
      restartCount: 3,
      state: { waiting: { reason, ...(message ? { message } : {}) } },
      ...(last ? { lastState: { terminated: last } } : {}),
    },
  ],
});
const unscheduled = (minutes: number, reason = 'Unschedulable') => ({
  phase: 'Pending',
  conditions: [
    {
      type: 'PodScheduled',
      status: 'False',
      reason,
      message: '0/3 nodes are available.',
      lastTransitionTime: minutesAgo(minutes),
    },
  ],
});
const ended = (exitCode: number, reason: string) => ({
  phase: 'Failed',
  containerStatuses: [{ name: 'runner', restartCount: 0, state: { terminated: { exitCode, reason } } }],
});

describe('a pod', () => {
  test.each<[string, KubePod['status'], string | null, boolean]>([
    ['is new', undefined, 'It waits for a node.', false],
    ['is new to the scheduler', { phase: 'Pending' }, 'It waits for a node.', false],
    ['has no node yet', unscheduled(1), 'No node has room for it. 0/3 nodes are available.', false],
    ['has had no node for long', unscheduled(6), 'No node has room for it. 0/3 nodes are available.', true],
    ['has a reason without a sentence', unscheduled(1, 'Strange'), 'Strange. 0/3 nodes are available.', false],
    ['is being made', waiting('ContainerCreating'), 'It is being prepared on its node.', false],
    ['has no image', waiting('ImagePullBackOff', 'not found'), 'Its image cannot be pulled. not found', true],
    [
      'ends again and again',
      waiting('CrashLoopBackOff', undefined, { exitCode: 7, reason: 'Error' }),
      'It ends as soon as it starts, and is started again later. Last time: Error, exit code 7.',
      true,
    ],
    ['runs', { phase: 'Running', containerStatuses: [{ name: 'runner', restartCount: 0, state: {} }] }, null, false],
    ['has done its job', { phase: 'Succeeded' }, null, false],
    ['ran out of memory', ended(137, 'OOMKilled'), 'It used more memory than its pool has. Exit code 137.', true],
    ['failed', ended(1, 'Error'), 'Its program failed. Exit code 1.', true],
    [
      'was sent away',
      { phase: 'Failed', reason: 'Evicted', message: 'The node was low on memory.' },
      'Its node made room for others. The node was low on memory.',
      true,
    ],
    [
      'waits in what comes first',
      {
        phase: 'Pending',
        initContainerStatuses: [{ name: 'program', restartCount: 0, state: { waiting: { reason: 'ErrImagePull' } } }],
        containerStatuses: [{ name: 'runner', restartCount: 0, state: { waiting: { reason: 'PodInitializing' } } }],
      },
      'Its image cannot be pulled.',
      true,
    ],
  ])('%s', (_, status, why, needsSomebody) => expect(podSeen(pod(status), now)).toMatchObject({ why, needsSomebody }));

  test('is shown with its place, pool, node, restarts and age', () => {
    const seen = podSeen({ ...pod(waiting('CrashLoopBackOff')), spec: { nodeName: 'node-1' } }, now);
    expect(seen).toEqual({
      name: 'cmux-docker-x7k2m',
      namespace: 'runners-cmux',
      pool: 'docker',
      phase: 'Running',
      why: expect.any(String) as string,
      needsSomebody: true,
      node: 'node-1',
      restarts: 3,
      createdAt: minutesAgo(1),
    });
    expect(podSeen(pod(undefined, { labels: {} }), now)).toMatchObject({ pool: null, node: null, restarts: 0 });
  });

  test('that is going says nothing else, and one that nobody hears of is unknown', () => {
    const leaving = podSeen(pod(ended(1, 'Error'), { deletionTimestamp: minutesAgo(0) }), now);
    expect(leaving).toMatchObject({ phase: 'Ending', why: null, needsSomebody: false });
    expect(podSeen(pod({ phase: 'Lost' }), now)).toMatchObject({ phase: 'Unknown' });
  });

  test('A23: is shown without what its containers are given, and with no more of a node’s words than fit', () => {
    const secret = 'sentinel-secret';
    const full = {
      ...pod(waiting('CreateContainerError', 'x'.repeat(5000))),
      spec: { containers: [{ name: 'runner', env: [{ name: 'TOKEN', value: secret }], args: [secret] }] },
    } as unknown as KubePod;
    const text = JSON.stringify(podSeen(full, now));
    expect(text).not.toContain(secret);
    expect(text.length).toBeLessThan(800);
  });
});

describe('an event', () => {
  const event: KubeEvent = {
    metadata: { name: 'cmux.17', namespace: 'runners-cmux', creationTimestamp: minutesAgo(30) },
    type: 'Warning',
    reason: 'FailedCreate',
    message: 'exceeded quota',
    count: 4,
    lastTimestamp: minutesAgo(2),
    involvedObject: { kind: 'ReplicaSet', name: 'cmux-nix' },
  };

  test('is shown with when it was last, how often, and of what', () => {
    expect(eventSeen(event)).toEqual({
      key: 'runners-cmux/cmux.17',
      at: minutesAgo(2),
      isWarning: true,
      reason: 'FailedCreate',
      message: 'exceeded quota',
      about: 'ReplicaSet cmux-nix',
      times: 4,
    });
  });

  test('may be a series, or come with no time but that of its making', () => {
    const { count: _, lastTimestamp: __, ...bare } = event;
    expect(eventSeen({ ...bare, series: { count: 9, lastObservedTime: minutesAgo(1) } })).toMatchObject({
      at: minutesAgo(1),
      times: 9,
    });
    expect(eventSeen({ ...bare, lastTimestamp: null, eventTime: minutesAgo(5) })).toMatchObject({ at: minutesAgo(5) });
    expect(eventSeen({ ...bare, type: 'Normal' })).toMatchObject({ at: minutesAgo(30), times: 1, isWarning: false });
  });
});
