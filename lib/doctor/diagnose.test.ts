import { describe, expect, test } from 'vitest';
import type { Condition } from '#lib/model/index.ts';
import { diagnose, meantLabel } from './diagnose.ts';
import {
  findingKinds,
  type Facts,
  type FindingKind,
  type ListenerFact,
  type PodFact,
  type RunnerFact,
} from './facts.ts';

const now = new Date('2026-11-25T12:00:00Z');
const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000).toISOString();

const well: Facts = {
  now,
  forge: 'github',
  forgeName: 'GitHub',
  path: 'acme',
  labelKey: 'runs-on',
  controllerVersion: '0.14.2',
  pools: [
    { pool: 'docker', label: 'acme-docker', image: 'runner:1', isPlaced: false, isAdopted: false },
    { pool: 'nix', label: 'acme-nix', image: 'runner:1', isPlaced: true, isAdopted: false },
  ],
  sets: [
    { name: 'acme-docker', version: '0.14.2', phase: 'Running', isEnding: false },
    { name: 'acme-nix', version: '0.14.2', phase: 'Running', isEnding: false },
  ],
  listeners: [],
  runners: [],
  pods: [],
  deployments: [],
  ending: [],
  conditions: [],
  strays: [],
};

const runner = (about: Partial<RunnerFact>): RunnerFact => ({
  name: 'acme-docker-x-runner-a',
  set: 'acme-docker',
  pool: 'docker',
  phase: 'Pending',
  reason: null,
  message: '',
  failedAt: [],
  isReady: false,
  createdAt: ago(60),
  ...about,
});
const pod = (about: Partial<PodFact>): PodFact => ({
  name: 'acme-nix-x-runner-a',
  pool: 'nix',
  image: 'runner:1',
  createdAt: ago(60),
  waiting: null,
  unschedulable: null,
  isOrphan: false,
  ...about,
});
const listener = (about: Partial<ListenerFact>): ListenerFact => ({
  set: 'acme-docker',
  pod: 'acme-docker-1a2b-listener',
  isReady: false,
  reason: 'Error',
  message: '',
  restarts: 0,
  startedAt: ago(120),
  since: ago(5),
  ...about,
});
const condition = (reason: string, status: Condition['status'] = 'False'): Condition => ({
  type: 'ForgeReady',
  status,
  reason,
  message: 'As the forge says.',
  waitingFor: 'admin',
  since: ago(30),
  observedGeneration: 1,
});
const quotaSaid =
  'pods "acme-docker-x" is forbidden: exceeded quota: flywheel, requested: pods=1, used: pods=8, limited: pods=8';
const serviceAccount = {
  kind: 'ServiceAccount',
  apiVersion: 'v1',
  name: 'acme-docker-gha-rs-no-permission',
  namespace: 'runners-acme',
  isBusy: false,
};
const stray = (labels: string[], seconds: number) => ({
  repository: 'acme/app',
  workflow: 'ci',
  name: 'build',
  labels,
  queuedAt: ago(seconds),
});

type Case = [kind: FindingKind, what: string, facts: Partial<Facts>, subject: string, says: RegExp, offers: string[]];

const cases: Case[] = [
  [
    'quota-blocked',
    'ARC waits for quota',
    { runners: [runner({ message: quotaSaid }), runner({ name: 'b', phase: 'Running' })] },
    'acme-docker',
    /tenant’s quota is used up/,
    ['fit-maximum docker 1'],
  ],
  [
    'quota-blocked',
    'pods of nobody hold it',
    { runners: [runner({ message: quotaSaid })], pods: [pod({ name: 'left', isOrphan: true })] },
    'acme-docker',
    /used up/,
    ['remove-orphans left', 'fit-maximum docker 1'],
  ],
  [
    'quota-blocked',
    'somebody else’s quota',
    { runners: [runner({ message: quotaSaid.replace('flywheel', 'tight') })] },
    'acme-docker',
    /“tight” that is not the portal’s/,
    [],
  ],
  [
    'quota-blocked',
    'a Deployment of another forge',
    { deployments: [{ name: 'acme-docker-forgejo', pool: 'docker', said: quotaSaid, at: ago(9) }] },
    'acme-docker',
    /used up/,
    ['fit-maximum docker 1'],
  ],
  [
    'image-gone',
    'it cannot be pulled',
    { pods: [pod({ waiting: { reason: 'ImagePullBackOff', message: 'not found', isDaemon: false } })] },
    'acme-nix',
    /cannot be pulled/,
    ['set-image nix runner:1'],
  ],
  [
    'image-gone',
    'that of the daemon beside it cannot be pulled',
    {
      pods: [pod({ image: 'buildkit:1', waiting: { reason: 'ErrImagePull', message: 'not found', isDaemon: true } })],
    },
    'acme-nix',
    /cannot be pulled/,
    [],
  ],
  [
    'image-gone',
    'no image’s name',
    { pods: [pod({ waiting: { reason: 'InvalidImageName', message: '', isDaemon: false } })] },
    'acme-nix',
    /cannot be pulled/,
    ['set-image nix runner:1'],
  ],
  [
    'image-too-old',
    'GitHub takes it no longer',
    { sets: [{ name: 'acme-nix', version: '0.14.2', phase: 'Outdated', isEnding: false }] },
    'acme-nix',
    /no longer takes this version/,
    ['set-image nix runner:1'],
  ],
  [
    'pod-failures',
    'three in a row',
    { runners: [runner({ failedAt: [ago(30), ago(20), ago(10)] })] },
    'acme-docker',
    /end as soon as they start/,
    ['restart-runners acme-docker acme-docker-x-runner-a', 'set-image docker runner:1'],
  ],
  [
    'pod-failures',
    'ARC gave up',
    { runners: [runner({ phase: 'Failed', reason: 'TooManyPodFailures' })] },
    'acme-docker',
    /end as soon/,
    ['restart-runners acme-docker acme-docker-x-runner-a', 'set-image docker runner:1'],
  ],
  [
    'unschedulable',
    'no such node',
    {
      pods: [
        pod({
          unschedulable: {
            since: ago(1),
            message: '0/3 nodes are available: 3 node(s) didn’t match Pod’s node affinity/selector.',
          },
        }),
      ],
    },
    'acme-nix',
    /No node takes/,
    ['clear-placement nix'],
  ],
  [
    'unschedulable',
    'full where it may run, beside nodes that keep others away',
    {
      pods: [
        pod({
          unschedulable: {
            since: ago(301),
            message: '0/3 nodes are available: 1 node(s) had untolerated taint {control-plane: }, 2 Insufficient cpu.',
          },
        }),
      ],
    },
    'acme-nix',
    /No node takes/,
    [],
  ],
  [
    'unschedulable',
    'full for longer than a node takes to start',
    { pods: [pod({ unschedulable: { since: ago(301), message: '0/3 nodes are available: 3 Insufficient cpu.' } })] },
    'acme-nix',
    /No node takes/,
    [],
  ],
  [
    'version-label',
    'missing',
    { sets: [{ name: 'acme-nix', version: null, phase: 'Running', isEnding: false }] },
    'acme-nix',
    /lost its version label/,
    ['stamp-version acme-nix  0.14.2'],
  ],
  [
    'version-label',
    'behind after an upgrade',
    { controllerVersion: '0.15.0', sets: [{ name: 'acme-nix', version: '0.14.2', phase: null, isEnding: true }] },
    'acme-nix',
    /labelled for another controller/,
    ['stamp-version acme-nix 0.14.2 0.15.0'],
  ],
  [
    'scale-set-gone',
    'deleted at the forge',
    {
      listeners: [
        listener({ message: 'POST …/sessions: 404 RunnerScaleSetNotFoundException No such runner scale set.' }),
      ],
    },
    'acme-docker',
    /was deleted at GitHub/,
    ['register-anew acme-docker'],
  ],
  [
    'session-held',
    'by another cluster',
    {
      listeners: [
        listener({
          reason: 'SessionConflict',
          message: '409: The runner scale set acme-docker already has an active session for owner other-listener.',
        }),
      ],
    },
    'acme-docker',
    /Another listener holds/,
    ['register-anew acme-docker'],
  ],
  [
    'installation-suspended',
    'by its owner',
    { conditions: [condition('AppSuspended')] },
    'acme',
    /is suspended/,
    ['look-again'],
  ],
  [
    'installation-suspended',
    'taken away',
    { conditions: [condition('AppMissing')] },
    'acme',
    /not installed any more/,
    ['look-again'],
  ],
  [
    'listener-restarting',
    'with an error of another kind',
    { listeners: [listener({ message: '401 Unauthorized', since: ago(9) })] },
    'acme-docker',
    /does not stay up/,
    ['restart-listener acme-docker acme-docker-1a2b-listener', 'register-anew acme-docker'],
  ],
  [
    'listener-restarting',
    'again and again, up just now',
    { listeners: [listener({ isReady: true, restarts: 3 })] },
    'acme-docker',
    /does not stay up/,
    ['restart-listener acme-docker acme-docker-1a2b-listener', 'register-anew acme-docker'],
  ],
  [
    'listener-restarting',
    'not up for a minute',
    { listeners: [listener({ since: ago(61) })] },
    'acme-docker',
    /does not stay up/,
    ['restart-listener acme-docker acme-docker-1a2b-listener', 'register-anew acme-docker'],
  ],
  ['wrong-label', 'the pool without the tenant', { strays: [stray(['nix'], 16)] }, 'nix', /job waits for nix/, []],
  [
    'wrong-label',
    'another beside ours',
    { strays: [stray(['self-hosted', 'acme-nix'], 16)] },
    'self-hosted, acme-nix',
    /which no pool answers to/,
    [],
  ],
  [
    'wrong-label',
    'nobody’s, for long',
    { strays: [stray(['windows-arm'], 121)] },
    'windows-arm',
    /which no pool answers to/,
    [],
  ],
  [
    'stuck-finalizer',
    'a mark of somebody’s',
    { ending: [{ ...serviceAccount, since: ago(16), finalizers: ['acme.example/hold'] }] },
    `ServiceAccount ${serviceAccount.name}`,
    /told to go and cannot/,
    [`drop-finalizer ServiceAccount v1 ${serviceAccount.name} runners-acme acme.example/hold`],
  ],
  [
    'stuck-finalizer',
    'the controller’s own',
    { ending: [{ ...serviceAccount, since: ago(16), finalizers: ['actions.github.com/cleanup-protection'] }] },
    `ServiceAccount ${serviceAccount.name}`,
    /cannot/,
    [`drop-finalizer ServiceAccount v1 ${serviceAccount.name} runners-acme actions.github.com/cleanup-protection`],
  ],
];

describe('each case is found, with what was seen and what mends it', () => {
  test.each(cases)('%s: %s', (kind, _, facts, subject, says, offers) => {
    const { findings } = diagnose({ ...well, ...facts });
    expect(findings.map((each) => [each.kind, each.subject])).toEqual([[kind, subject]]);
    const [found] = findings;
    expect(found?.title).toMatch(says);
    expect(found?.evidence.length).toBeGreaterThan(0);
    for (const { object, said } of found?.evidence ?? []) expect([object, said]).not.toContain('');
    const shown = found?.offers.map((offer) => [offer.kind, ...Object.values(offer.params).flat()].join(' '));
    expect(shown).toEqual(offers);
  });

  test('no kind is left out', () => {
    expect(new Set(cases.map(([kind]) => kind))).toEqual(new Set(findingKinds));
  });
});

const nothings: [what: string, facts: Partial<Facts>, ripeInSeconds: number | null][] = [
  ['all is well', {}, null],
  ['a runner that waits for its pod', { runners: [runner({})] }, null],
  ['two pods that failed', { runners: [runner({ failedAt: [ago(9), ago(3)] })] }, null],
  [
    'nodes that are full for a minute',
    { pods: [pod({ unschedulable: { since: ago(60), message: 'Insufficient cpu' } })] },
    240,
  ],
  [
    'a full cluster whose control plane keeps to itself, for a minute',
    { pods: [pod({ unschedulable: { since: ago(60), message: '1 had untolerated taint, 2 Insufficient cpu' } })] },
    240,
  ],
  ['a listener that starts', { listeners: [listener({ reason: 'ContainerCreating' })] }, 55],
  ['a listener that was refused just now', { listeners: [listener({ message: '500 Internal Server Error' })] }, 3],
  [
    'a container that is made',
    { pods: [pod({ waiting: { reason: 'ContainerCreating', message: '', isDaemon: false } })] },
    null,
  ],
  ['a near miss, just queued', { strays: [stray(['nix'], 5)] }, 10],
  ['a stranger’s label, queued for a minute', { strays: [stray(['windows-arm'], 60)] }, 60],
  ['what goes and was told a second ago', { ending: [{ ...serviceAccount, since: ago(1), finalizers: ['x/y'] }] }, 14],
  [
    'a set that waits for its jobs',
    {
      ending: [
        { ...serviceAccount, kind: 'AutoscalingRunnerSet', since: ago(3600), finalizers: ['x/y'], isBusy: true },
      ],
    },
    null,
  ],
  ['what goes with nothing that holds it', { ending: [{ ...serviceAccount, since: ago(3600), finalizers: [] }] }, null],
  [
    'no controller that was asked',
    { controllerVersion: null, sets: [{ name: 'acme-nix', version: null, phase: null, isEnding: false }] },
    null,
  ],
  ['an installation that is as it should be', { conditions: [condition('AsWanted', 'True')] }, null],
  ['pods of nobody that are in nobody’s way', { pods: [pod({ isOrphan: true })] }, null],
];

test.each(nothings)('nothing is found of %s', (_, facts, ripeInSeconds) => {
  const { findings, ripeAt } = diagnose({ ...well, ...facts });
  expect(findings).toEqual([]);
  expect(ripeAt && (ripeAt.getTime() - now.getTime()) / 1000).toBe(ripeInSeconds);
});

describe('who may apply', () => {
  test('what touches the catalog, or leaves something at the forge, is an operator’s', () => {
    const facts = {
      ...well,
      pods: [pod({ waiting: { reason: 'ErrImagePull', message: 'x', isDaemon: false } })],
      ending: [
        { ...serviceAccount, since: ago(60), finalizers: ['actions.github.com/cleanup-protection'] },
        { ...serviceAccount, name: 'other', since: ago(60), finalizers: ['acme.example/hold'] },
      ],
    };
    const who = diagnose(facts).findings.flatMap(({ subject, offers }) => offers.map((each) => [subject, each.who]));
    expect(who).toEqual([
      ['acme-nix', 'operator'],
      [`ServiceAccount ${serviceAccount.name}`, 'operator'],
      ['ServiceAccount other', 'admin'],
    ]);
  });
});

test('a patch version behind is served, and no more than a warning that comes after what is bad', () => {
  const facts = {
    ...well,
    sets: [{ name: 'acme-nix', version: '0.14.1', phase: 'Running', isEnding: false }],
    pods: [pod({ waiting: { reason: 'ErrImagePull', message: 'x', isDaemon: false } })],
  };
  expect(diagnose(facts).findings.map(({ kind, severity }) => [kind, severity])).toEqual([
    ['image-gone', 'bad'],
    ['version-label', 'warn'],
  ]);
});

test('jobs with the same labels are one finding, and the label that was meant is said', () => {
  const { findings } = diagnose({ ...well, strays: [stray(['nix'], 30), stray(['nix'], 20)] });
  expect(findings.map(({ title, words }) => [title, words])).toEqual([
    [
      '2 jobs wait for nix, which no pool answers to',
      'Write `runs-on: acme-nix` there, alone: runners are found by that one label.',
    ],
  ]);
});

test.each([
  [['ACME-NIX'], 'acme-nix'],
  [['docker'], 'acme-docker'],
  [['bolt-docker'], 'acme-docker'],
  [['self-hosted', 'acme-docker'], 'acme-docker'],
  [['self-hosted'], null],
  [['nixos'], null],
])('of %j is meant %s', (labels, meant) => expect(meantLabel({ labels }, well.pools)).toBe(meant));

test('whose session it is: our own ends by itself, another’s must go', () => {
  const said = (owner: string) => {
    const message = `409: The runner scale set acme-docker already has an active session for owner ${owner}.`;
    return diagnose({ ...well, listeners: [listener({ message })] }).findings[0]?.words;
  };
  expect(said('acme-docker-1a2b-listener')).toMatch(/A listener of ours that ended/);
  expect(said('somebody-else')).toMatch(/held by somebody-else/);
});
