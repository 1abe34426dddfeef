import { describe, expect, test } from 'vitest';
import type { Observed } from '#lib/cluster/index.ts';
import { runnerSeen } from './runner-seen.ts';

type Given = {
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  version?: string;
  spec?: object;
};

const ofPool = {
  'flywheel.dev/tenant': 'acme',
  'flywheel.dev/enrollment': 'app',
  'flywheel.dev/pool': 'nix',
};

function object(kind: string, status: object, { labels, annotations, version = '7', ...more }: Given = {}) {
  return {
    apiVersion: kind === 'Pod' ? 'v1' : 'actions.github.com/v1alpha1',
    kind,
    metadata: {
      name: 'acme-nix-x7-runner-q2',
      namespace: 'runners-acme',
      uid: `uid-of-${kind}`,
      resourceVersion: version,
      creationTimestamp: '2026-11-01T10:00:00Z',
      labels: { ...ofPool, ...labels },
      ...(annotations ? { annotations } : {}),
    },
    status,
    ...more,
  } as unknown as Observed;
}

const job = {
  jobRepositoryName: 'acme/app',
  jobDisplayName: 'build (linux)',
  jobWorkflowRef: 'acme/app/.github/workflows/ci.yml@refs/heads/main',
  workflowRunId: 4711,
  jobId: 'a-guid',
};
const arc = { labels: { 'actions-ephemeral-runner': 'True' } };
const gitlab = {
  labels: { 'job.runner.gitlab.com/pod': 'p', 'project.runner.gitlab.com/id': '3' },
  annotations: {
    'job.runner.gitlab.com/id': '99',
    'job.runner.gitlab.com/name': 'test',
    'job.runner.gitlab.com/url': 'https://gitlab.example/acme/lab/site/-/jobs/99',
  },
};
const forgejo = {
  labels: { 'app.kubernetes.io/name': 'forgejo-runner', 'app.kubernetes.io/instance': 'acme-nix-2' },
};
const up = { phase: 'Running', startTime: '2026-11-01T10:00:03Z', containerStatuses: [{ state: { running: {} } }] };
const ended = {
  phase: 'Succeeded',
  startTime: '2026-11-01T10:00:03Z',
  containerStatuses: [{ state: { terminated: { finishedAt: '2026-11-01T10:01:00Z' } } }],
};

describe('a runner of ARC’s', () => {
  test.each<[string, object, object]>([
    ['that was just made', {}, { state: 'starting', reason: null, job: null }],
    [
      'that the quota holds up',
      { phase: 'Pending', reason: 'QuotaExceeded', message: 'exceeded quota: tenant' },
      { state: 'starting', reason: 'QuotaExceeded: exceeded quota: tenant' },
    ],
    ['that waits', { phase: 'Running', ready: true }, { state: 'idle', job: null, isOver: false }],
    [
      'with a job',
      { phase: 'Running', ...job },
      {
        state: 'running',
        job: {
          repository: 'acme/app',
          runId: '4711',
          workflow: '.github/workflows/ci.yml',
          name: 'build (linux)',
          startedAt: null,
        },
      },
    ],
    ['that has done its job', { phase: 'Succeeded', ...job }, { state: 'running', isOver: true }],
    [
      'that was given up',
      { phase: 'Failed', reason: 'TooManyPodFailures', message: 'Pod has failed to start more than 5 times' },
      { state: 'failed', reason: 'TooManyPodFailures: Pod has failed to start more than 5 times', isOver: false },
    ],
  ])('%s', (_, status, seen) => {
    expect(runnerSeen({ runner: object('EphemeralRunner', status) })).toMatchObject({
      uid: 'uid-of-EphemeralRunner',
      tenant: 'acme',
      enrollment: 'app',
      pool: 'nix',
      name: 'acme-nix-x7-runner-q2',
      servesOne: true,
      ...seen,
    });
  });

  test('has its node and its end from its pod, and the newest version of both', () => {
    const pod = object('Pod', ended, { ...arc, version: '12', spec: { nodeName: 'node-4' } });
    expect(runnerSeen({ runner: object('EphemeralRunner', { phase: 'Running', ...job }), pod })).toMatchObject({
      node: 'node-4',
      endedAt: new Date('2026-11-01T10:01:00Z'),
      version: '12',
      isOver: false,
    });
  });

  test('is the same one where only its pod may be looked at', () => {
    const pod = object('Pod', up, arc);
    Object.assign(pod.metadata, { ownerReferences: [{ kind: 'EphemeralRunner', uid: 'uid-of-EphemeralRunner' }] });
    expect(runnerSeen({ pod })).toMatchObject({ uid: 'uid-of-EphemeralRunner', state: 'idle', job: null });
  });

  test('says what its pod waits for', () => {
    const waiting = [{ state: { waiting: { reason: 'ImagePullBackOff', message: 'no such image' } } }];
    const pod = object('Pod', { phase: 'Pending', containerStatuses: waiting }, arc);
    expect(runnerSeen({ runner: object('EphemeralRunner', { phase: 'Pending' }), pod })).toMatchObject({
      state: 'starting',
      reason: 'ImagePullBackOff: no such image',
    });
  });
});

describe('a pod of a GitLab job', () => {
  test('bears its job’s id, name and project', () => {
    expect(runnerSeen({ pod: object('Pod', up, gitlab) })).toMatchObject({
      state: 'running',
      servesOne: true,
      forgeJobId: '99',
      job: { repository: 'acme/lab/site', name: 'test', startedAt: new Date('2026-11-01T10:00:03Z') },
    });
  });

  test.each(['Succeeded', 'Failed'])('is over when it %s, however its job ended', (phase) => {
    expect(runnerSeen({ pod: object('Pod', { ...ended, phase }, gitlab) })).toMatchObject({ isOver: true });
  });

  test('of an older gitlab-runner, which says less', () => {
    const annotations = { 'job.runner.gitlab.com/id': '99' };
    expect(runnerSeen({ pod: object('Pod', up, { ...gitlab, annotations }) })).toMatchObject({
      forgeJobId: '99',
      job: { repository: 'project 3', name: null },
    });
  });
});

test('a place that is held for a GitLab job is seen, and metered, as a runner that waits, by its pod’s name', () => {
  const labels = { 'flywheel.dev/place': 'acme-nix' };
  expect(runnerSeen({ pod: object('Pod', up, { labels }) })).toMatchObject({
    name: 'acme-nix-x7-runner-q2',
    state: 'idle',
    servesOne: false,
    job: null,
    isOver: false,
  });
});

describe('a runner of Forgejo’s', () => {
  test('goes by the name of its registration, and on after its job', () => {
    expect(runnerSeen({ pod: object('Pod', up, forgejo) })).toMatchObject({
      name: 'flywheel-acme-nix-2',
      state: 'idle',
      servesOne: false,
      job: null,
    });
  });

  test('that crashes again and again is not up', () => {
    const containerStatuses = [{ state: { waiting: { reason: 'CrashLoopBackOff' } } }];
    expect(runnerSeen({ pod: object('Pod', { ...up, containerStatuses }, forgejo) })).toMatchObject({
      state: 'starting',
      reason: 'CrashLoopBackOff',
    });
  });
});

test('a pod in another namespace that bears a tenant’s name is none of that tenant’s', () => {
  const pod = object('Pod', up, arc);
  pod.metadata.namespace = 'dind-mallory';
  expect(runnerSeen({ pod })).toBeNull();
  pod.metadata.namespace = 'dind-acme';
  expect(runnerSeen({ pod })).toMatchObject({ tenant: 'acme' });
  pod.metadata.namespace = 'runners-mallory';
  expect(runnerSeen({ pod })).toBeNull();
});

test('what is no pool’s is no runner: a manager, or a stranger’s pod', () => {
  const pod = object('Pod', up);
  delete pod.metadata.labels?.['flywheel.dev/pool'];
  expect([runnerSeen({ pod }), runnerSeen({})]).toEqual([null, null]);
});
