import { randomBytes } from 'node:crypto';
import { mkdtempSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type Github, ids, startGithub } from '#sandbox/github/index.ts';
import { buildControlPlane, type ControlPlane, startControlPlane } from '#sandbox/control-plane.ts';
import { type Arc, startArc } from './index.ts';
import { Kube, type Obj, pathOf } from './kube.ts';
import type {
  AutoscalingListener,
  AutoscalingRunnerSet,
  EphemeralRunner,
  EphemeralRunnerSet,
  RunningPod,
  Secret,
} from './objects.ts';

// Two cores may be shared with a build.
vi.setConfig({ testTimeout: 120_000 });

const tag = randomBytes(3).toString('hex');
const controllerNamespace = 'arc-systems';
const listenerImage = 'example.com/runner:1';

let github: Github;
let arc: Arc;
let kubeconfig: string;
let kube: Kube;
let cluster: ControlPlane | undefined;
let way: Way;
const errors: string[] = [];

function begin(): Promise<Arc> {
  return startArc({
    kubeconfig: way.config,
    namespace: controllerNamespace,
    jobSeconds: 1,
    waitScale: 0.02,
    onError: (kind, key, error) => errors.push(`${kind} ${key}: ${String(error)}`),
  });
}

// An API server of its own: two controllers in one cluster work against each other, and other tests may have theirs.
beforeAll(async () => {
  kubeconfig = process.env['FLYWHEEL_TEST_KUBECONFIG'] ?? (await startCluster());
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  kube = new Kube(config);
  way = await Way.to(kubeconfig);
  github = await startGithub({ port: 0, pollSeconds: 20, sessionIdleSeconds: 3 });
  arc = await begin();
});
afterAll(async () => {
  await arc?.stop();
  await github?.stop();
  way?.cut();
  await cluster?.stop();
});

/** The way from ARC to the API server, which can be cut while the test still sees what is there. */
class Way {
  readonly config: KubeConfig;
  readonly #to: URL;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;

  private constructor(config: KubeConfig, to: URL) {
    this.config = config;
    this.#to = to;
  }

  static async to(path: string): Promise<Way> {
    const config = new KubeConfig();
    config.loadFromFile(path);
    const [target] = config.clusters;
    if (!target) throw new Error('the kubeconfig names no cluster');
    const way = new Way(config, new URL(target.server));
    await way.open();
    config.clusters = [{ ...target, server: `https://127.0.0.1:${way.#port}` }];
    return way;
  }

  async open(): Promise<void> {
    const server = createServer((socket) => {
      const onward = connect(Number(this.#to.port), this.#to.hostname);
      for (const end of [socket, onward]) {
        this.#sockets.add(end);
        end.on('error', () => end.destroy());
        end.on('close', () => this.#sockets.delete(end));
      }
      socket.pipe(onward).pipe(socket);
    });
    await new Promise<void>((listening) => server.listen(this.#port, '127.0.0.1', listening));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
  }

  cut(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function startCluster(): Promise<string> {
  const dataDir = mkdtempSync(join(tmpdir(), 'arc-cluster-'));
  cluster = await startControlPlane({ dataDir, binary: await buildControlPlane(), keepData: false });
  return cluster.kubeconfigPath;
}

async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  seconds = 30,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > deadline) throw new Error(`still waiting for ${what}; errors: ${errors.slice(-5).join('\n')}`);
    await sleep(50);
  }
}

/** The uid of the runner that runs, where it is one. */
async function runningOf(name: string): Promise<string | undefined> {
  const runners = await list<EphemeralRunner>('EphemeralRunner', `runners-${name}`);
  const up = runners.filter(({ status, metadata }) => status?.phase === 'Running' && !metadata.deletionTimestamp);
  return up.length === 1 ? up[0]?.metadata.uid : undefined;
}

async function list<T extends Obj>(kind: string, namespace: string): Promise<T[]> {
  return (await kube.call<{ items: T[] }>({ method: 'GET', path: pathOf(kind, namespace) })).items;
}

const managerRules = [
  { apiGroups: [''], resources: ['pods'], verbs: ['create', 'delete', 'get'] },
  { apiGroups: [''], resources: ['pods/status'], verbs: ['get'] },
  {
    apiGroups: [''],
    resources: ['secrets', 'serviceaccounts'],
    verbs: ['create', 'delete', 'get', 'list', 'patch', 'update'],
  },
  {
    apiGroups: ['rbac.authorization.k8s.io'],
    resources: ['roles', 'rolebindings'],
    verbs: ['create', 'delete', 'get', 'patch', 'update'],
  },
];

interface Wanted {
  spec?: Partial<AutoscalingRunnerSet['spec']>;
  version?: string;
  image?: string;
  manager?: boolean;
  secret?: Record<string, string>;
  protect?: boolean;
}

/** A tenant's namespace with what the chart, or the portal, puts there. */
async function tenant(name: string, wanted: Wanted = {}): Promise<AutoscalingRunnerSet> {
  const namespace = `runners-${name}`;
  const protectedBy = wanted.protect ? { finalizers: ['actions.github.com/cleanup-protection'] } : {};
  const manager = `${name}-gha-rs-manager`;
  const account = `${name}-gha-rs-no-permission`;
  await kube.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
  const app = {
    github_app_id: String(github.app.id),
    github_app_installation_id: String(ids.installations.tinyland),
    github_app_private_key: github.app.privateKeyPem,
  };
  const secret: Secret = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'github', namespace },
    stringData: wanted.secret ?? app,
  };
  await kube.create<Secret>(secret);
  const rbac = 'rbac.authorization.k8s.io';
  if (wanted.manager !== false) {
    await kube.create({
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata: { name: manager, namespace, ...protectedBy },
      rules: managerRules,
    } as Obj);
    const subjects = [{ kind: 'ServiceAccount', name: 'arc-gha-rs-controller', namespace: controllerNamespace }];
    await kube.create({
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata: { name: manager, namespace, ...protectedBy },
      roleRef: { apiGroup: rbac, kind: 'Role', name: manager },
      subjects,
    } as Obj);
  }
  await kube.create({
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { name: account, namespace, ...protectedBy },
  });
  const set: AutoscalingRunnerSet = {
    apiVersion: 'actions.github.com/v1alpha1',
    kind: 'AutoscalingRunnerSet',
    metadata: {
      name,
      namespace,
      labels: { 'app.kubernetes.io/version': wanted.version ?? '0.14.2', 'flywheel.dev/tenant': name },
      ...(wanted.protect
        ? {
            annotations: {
              'actions.github.com/cleanup-manager-role-binding': manager,
              'actions.github.com/cleanup-manager-role-name': manager,
              'actions.github.com/cleanup-no-permission-service-account-name': account,
            },
          }
        : {}),
    },
    spec: {
      githubConfigUrl: `${github.url}/tinyland-inc`,
      githubConfigSecret: 'github',
      minRunners: 0,
      maxRunners: 3,
      template: {
        spec: {
          serviceAccountName: account,
          containers: [
            {
              name: 'runner',
              image: wanted.image ?? listenerImage,
              command: ['/home/runner/run.sh'],
              resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '1', memory: '1Gi' } },
            },
          ],
        },
      },
      ...wanted.spec,
    },
  };
  return kube.create(set);
}

function getSet(name: string): Promise<AutoscalingRunnerSet | undefined> {
  return kube.get<AutoscalingRunnerSet>('AutoscalingRunnerSet', `runners-${name}`, name);
}

function running(name: string): Promise<AutoscalingRunnerSet> {
  return until(`${name} to run`, async () => {
    const set = await getSet(name);
    return set?.status?.phase === 'Running' && set;
  });
}

async function listenerOfSet(name: string): Promise<AutoscalingListener | undefined> {
  const all = await list<AutoscalingListener>('AutoscalingListener', controllerNamespace);
  return all.find((listener) => listener.spec.autoscalingRunnerSetName === name);
}

function jobOf(id: number) {
  return github.state.jobs[id];
}

function scaleSetNamed(name: string) {
  return Object.values(github.state.scaleSets).find((set) => set.name === name);
}

async function isAllowed(
  user: string,
  verb: string,
  group: string,
  resource: string,
  namespace: string,
): Promise<boolean> {
  const review = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user, resourceAttributes: { verb, group, resource, namespace } },
  };
  const answer = await kube.call<{ status: { allowed: boolean } }>({
    method: 'POST',
    path: '/apis/authorization.k8s.io/v1/subjectaccessreviews',
    body: review,
  });
  return answer.status.allowed;
}

describe('what the controller leaves in the cluster', () => {
  test('a Deployment that says who it is, and an account that may look but not touch', async () => {
    const [deployment] = await list('Deployment', controllerNamespace);
    expect(deployment?.metadata.labels).toMatchObject({
      'app.kubernetes.io/part-of': 'gha-rs-controller',
      'app.kubernetes.io/version': '0.14.2',
      'actions.github.com/controller-service-account-namespace': controllerNamespace,
      'actions.github.com/controller-service-account-name': 'arc-gha-rs-controller',
    });
    const user = `system:serviceaccount:${controllerNamespace}:arc-gha-rs-controller`;
    expect(await isAllowed(user, 'list', '', 'pods', 'default')).toBe(true);
    expect(await isAllowed(user, 'create', '', 'pods', 'default')).toBe(false);
    expect(await isAllowed(user, 'get', '', 'secrets', 'default')).toBe(false);
    expect(await isAllowed(user, 'patch', 'rbac.authorization.k8s.io', 'roles', 'default')).toBe(true);
    expect(await isAllowed(user, 'create', 'rbac.authorization.k8s.io', 'roles', 'default')).toBe(false);
  });

  test('definitions that refuse what ARC’s refuse', async () => {
    const set = (template: object) => ({
      apiVersion: 'actions.github.com/v1alpha1',
      kind: 'AutoscalingRunnerSet',
      metadata: { name: 'strict', namespace: 'default' },
      spec: { githubConfigUrl: 'https://github.com/x', githubConfigSecret: 's', template },
    });
    const dryRun = (body: object): Promise<unknown> =>
      kube.call({
        method: 'POST',
        path: `${pathOf('AutoscalingRunnerSet', 'default')}?dryRun=All&fieldValidation=Strict`,
        body,
      });
    const container = {
      name: 'runner',
      resources: { limits: { cpu: 2, memory: '4Gi' } },
      ports: [{ containerPort: 80 }],
      env: [{ name: 'A', value: 'b' }],
    };
    await expect(dryRun(set({ spec: { containers: [container] } }))).resolves.toBeDefined();
    await expect(dryRun(set({ spec: { containers: [{ ...container, imagee: 'x' }] } }))).rejects.toThrow(
      'unknown field',
    );
    await expect(dryRun(set({ spec: { containers: [container, container] } }))).rejects.toThrow('Duplicate value');
    await expect(dryRun(set({ spec: { containers: [{ ...container, stdin: 'yes' }] } }))).rejects.toThrow(
      'must be of type boolean',
    );
    await expect(dryRun({ ...set({}), spec: { minRunners: -1 } })).rejects.toThrow('greater than or equal to 0');
  });
});

test('a runner set is registered, listens, runs a job and is ready for the next', async () => {
  const name = `one-${tag}`;
  await tenant(name);
  const set = await running(name);
  const scaleSet = scaleSetNamed(name);
  expect(set.metadata.annotations).toMatchObject({
    'runner-scale-set-id': String(scaleSet?.id),
    'actions.github.com/runner-group-name': 'Default',
    'actions.github.com/runner-scale-set-name': name,
    'actions.github.com/change-hash': expect.any(String),
  });
  expect(set.metadata.labels).toMatchObject({ 'actions.github.com/organization': 'tinyland-inc' });
  expect(set.metadata.finalizers).toEqual(['autoscalingrunnerset.actions.github.com/finalizer']);
  expect(set.spec.runnerScaleSetName).toBe(name);

  const listener = (await listenerOfSet(name)) as AutoscalingListener;
  expect(listener.metadata.name).toMatch(new RegExp(`^${name}-[0-9a-f]{1,8}-listener$`));
  expect(await kube.get('Secret', controllerNamespace, `${listener.metadata.name}-config`)).toBeDefined();
  expect((await list<Obj>('Role', `runners-${name}`)).map((role) => role.metadata.name)).toContain(
    listener.metadata.name,
  );

  const job = github.queueJob({ repository: 'tinyland-inc/lab', labels: [name], name: 'unit' });
  const runner = await until('a runner with the job', async () => {
    const [found] = await list<EphemeralRunner>('EphemeralRunner', `runners-${name}`);
    return found?.status?.jobId ? found : undefined;
  });
  expect(runner.status).toMatchObject({
    phase: 'Running',
    ready: true,
    jobRepositoryName: 'tinyland-inc/lab',
    jobDisplayName: 'unit',
    jobWorkflowRef: 'tinyland-inc/lab/.github/workflows/ci.yml@refs/heads/main',
    workflowRunId: job.runId,
    jobRequestId: job.requestId,
    runnerName: runner.metadata.name,
    runnerId: expect.any(Number),
  });
  const [pod] = (await list<RunningPod>('Pod', `runners-${name}`)) as [RunningPod];
  expect(pod.metadata.labels).toMatchObject({
    'actions-ephemeral-runner': 'True',
    'actions.github.com/scale-set-name': name,
    'actions.github.com/scale-set-namespace': `runners-${name}`,
    'flywheel.dev/tenant': name,
  });
  expect(pod.status).toMatchObject({
    phase: 'Running',
    startTime: expect.any(String),
    containerStatuses: [{ name: 'runner', ready: true }],
  });
  expect(pod.spec.containers[0]?.env?.at(-1)).toMatchObject({
    name: 'ACTIONS_RUNNER_INPUT_JITCONFIG',
    valueFrom: { secretKeyRef: { name: runner.metadata.name, key: 'jitToken' } },
  });

  await until('the job to end', () => jobOf(job.id)?.phase === 'completed');
  await until(
    'nothing to be left',
    async () =>
      (await list('EphemeralRunner', `runners-${name}`)).length + (await list('Pod', `runners-${name}`)).length === 0,
  );
  expect(jobOf(job.id)).toMatchObject({ conclusion: 'success', runnerName: runner.metadata.name });
  await sleep(500);
  // The runner that did its job is not replaced by one for nobody.
  expect(await list('EphemeralRunner', `runners-${name}`)).toEqual([]);
});

test('jobs beyond the maximum wait, and warm runners stay', async () => {
  const name = `warm-${tag}`;
  await tenant(name, { spec: { minRunners: 1, maxRunners: 2 } });
  await running(name);
  await until('a warm runner', async () => (await getSet(name))?.status?.runningEphemeralRunners === 1);
  const jobs = Array.from({ length: 4 }, () =>
    github.queueJob({ repository: 'tinyland-inc/lab', labels: [name], durationSeconds: 1 }),
  );
  let most = 0;
  await until('all jobs to end', async () => {
    most = Math.max(most, (await list('Pod', `runners-${name}`)).length);
    return jobs.every((job) => jobOf(job.id)?.phase === 'completed');
  });
  expect(most).toBeLessThanOrEqual(2);
  await until(
    'the warm runner to be back',
    async () => {
      const { currentRunners, runningEphemeralRunners } = (await getSet(name))?.status ?? {};
      return currentRunners === 1 && runningEphemeralRunners === 1;
    },
    60,
  );
}, 150_000);

test('a warm runner that ends after the word of its job is back with the next poll that brings nothing', async () => {
  const name = `late-${tag}`;
  await tenant(name, { spec: { minRunners: 1, maxRunners: 1 } });
  await running(name);
  const first = await until('a warm runner', () => runningOf(name));
  const job = github.queueJob({ repository: 'tinyland-inc/lab', labels: [name], durationSeconds: 4 });
  await until('the job to run', () => jobOf(job.id)?.phase === 'running');
  // Completed at once, and told so; the program on the runner hears of it at its own end only.
  await fetch(`${github.url}/_sandbox/jobs/${job.id}/cancel`, { method: 'POST' });
  const second = await until(
    'another warm runner',
    async () => {
      const now = await runningOf(name);
      return now !== first && now;
    },
    60,
  );
  expect(second).not.toBe(first);
}, 120_000);

describe('what is refused', () => {
  test('a set whose version label is of another minor, or missing, is deleted', async () => {
    const name = `old-${tag}`;
    await tenant(name, { version: '0.13.0' });
    await until('the set to go', async () => !(await getSet(name)));
    expect(scaleSetNamed(name)).toBeUndefined();
  });

  test('without the manager Role nothing starts, and with it all does', async () => {
    const name = `bare-${tag}`;
    await tenant(name, { manager: false });
    await until('an error about the secret', () =>
      errors.some((error) => error.includes(name) && error.includes('403')),
    );
    expect(scaleSetNamed(name)).toBeUndefined();
    const rbac = 'rbac.authorization.k8s.io';
    const metadata = { name: 'manager', namespace: `runners-${name}` };
    await kube.create({ apiVersion: `${rbac}/v1`, kind: 'Role', metadata, rules: managerRules } as Obj);
    const subjects = [{ kind: 'ServiceAccount', name: 'arc-gha-rs-controller', namespace: controllerNamespace }];
    await kube.create({
      apiVersion: `${rbac}/v1`,
      kind: 'RoleBinding',
      metadata,
      roleRef: { apiGroup: rbac, kind: 'Role', name: 'manager' },
      subjects,
    } as Obj);
    await running(name);
  });

  test('credentials of both kinds are an error', async () => {
    const name = `both-${tag}`;
    await tenant(name, { secret: { github_token: 'x', github_app_id: '1' } });
    await until('the error', () =>
      errors.some((error) => error.includes(name) && error.includes('both PAT and GitHub App credentials provided')),
    );
    expect(scaleSetNamed(name)).toBeUndefined();
  });

  test('a pod beyond the quota waits, and starts when there is room', async () => {
    const name = `quota-${tag}`;
    await tenant(name);
    const quota = {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'q', namespace: `runners-${name}` },
      spec: { hard: { 'requests.cpu': '500m' } },
    };
    const path = `/api/v1/namespaces/runners-${name}/resourcequotas`;
    await kube.call({ method: 'POST', path, body: quota });
    await running(name);
    const job = github.queueJob({ repository: 'tinyland-inc/lab', labels: [name] });
    const runner = await until('a runner that waits', async () => {
      const [found] = await list<EphemeralRunner>('EphemeralRunner', `runners-${name}`);
      return found?.status?.reason ? found : undefined;
    });
    expect(runner.status).toMatchObject({ phase: 'Pending', message: expect.stringContaining('exceeded quota') });
    await kube.call({
      method: 'PATCH',
      path: `${path}/q`,
      body: { spec: { hard: { 'requests.cpu': '4' } } },
      contentType: 'application/merge-patch+json',
    });
    await until('the job to end', () => jobOf(job.id)?.phase === 'completed');
  });

  test('a pod that Pod Security forbids fails the runner', async () => {
    const name = `psa-${tag}`;
    await tenant(name);
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    await kube.patch(
      { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `runners-${name}` } },
      { metadata: { labels } },
    );
    await running(name);
    github.queueJob({ repository: 'tinyland-inc/lab', labels: [name] });
    const set = await until('a failed runner', async () => {
      const found = await getSet(name);
      return found?.status?.failedEphemeralRunners === 1 && found;
    });
    expect(set.status?.currentRunners).toBe(1);
    const [runner] = await list<EphemeralRunner>('EphemeralRunner', `runners-${name}`);
    expect(runner?.status).toMatchObject({ phase: 'Failed', reason: 'InvalidPod' });
  });

  test('a pod that keeps failing is given up for another runner', async () => {
    const name = `crash-${tag}`;
    await tenant(name, { image: 'example.com/runner:crash', spec: { minRunners: 1 } });
    const seen = new Set<string>();
    await until(
      'a second runner',
      async () => {
        for (const runner of await list<EphemeralRunner>('EphemeralRunner', `runners-${name}`))
          seen.add(runner.metadata.name);
        return seen.size > 1;
      },
      25,
    );
    expect((await getSet(name))?.status?.phase).toBe('Running');
  });

  test('a runner version that GitHub no longer takes shuts the pool down', async () => {
    const name = `aged-${tag}`;
    await tenant(name, { image: 'example.com/runner:deprecated', spec: { minRunners: 1 } });
    await until('Outdated', async () => (await getSet(name))?.status?.phase === 'Outdated');
    await until('the scale set to go', () => !scaleSetNamed(name));
    expect(await list('EphemeralRunnerSet', `runners-${name}`)).toEqual([]);
  });
});

describe('changes', () => {
  test('any change makes a new listener; only some make new runners', async () => {
    const name = `change-${tag}`;
    const set = await tenant(name);
    await running(name);
    const firstListener = (await listenerOfSet(name))?.metadata.uid;
    const [firstSet] = await list<EphemeralRunnerSet>('EphemeralRunnerSet', `runners-${name}`);
    const newListener = (before: string | undefined): Promise<string> =>
      until('another listener', async () => {
        const uid = (await listenerOfSet(name))?.metadata.uid;
        return uid !== before && uid;
      });
    await kube.patch(set, { spec: { maxRunners: 2 } });
    const second = await newListener(firstListener);
    await running(name);
    await kube.patch(set, { metadata: { annotations: { 'actions.github.com/values-hash': 'turned' } } });
    await newListener(second);
    expect((await list('EphemeralRunnerSet', `runners-${name}`)).map((s) => s.metadata.uid)).toEqual([
      firstSet?.metadata.uid,
    ]);
    await kube.patch(set, { spec: { template: { metadata: { labels: { new: 'label' } } } } });
    await until('another runner set', async () => {
      const sets = await list('EphemeralRunnerSet', `runners-${name}`);
      return sets.length === 1 && sets[0]?.metadata.uid !== firstSet?.metadata.uid;
    });
    await kube.patch(set, { spec: { runnerScaleSetName: `${name}-renamed` } });
    await until('the new name at GitHub', () => scaleSetNamed(`${name}-renamed`));
    expect(scaleSetNamed(name)).toBeUndefined();
  });

  test('a second set of the same name takes the scale set over and waits for its session', async () => {
    const name = `twin-${tag}`;
    await tenant(name);
    await running(name);
    const other = `twin2-${tag}`;
    await tenant(other, { spec: { runnerScaleSetName: name } });
    const pod = await until('a listener that waits', async () => {
      const listener = await listenerOfSet(other);
      const found = listener && (await kube.get<RunningPod>('Pod', controllerNamespace, listener.metadata.name));
      return JSON.stringify(found?.status?.containerStatuses ?? '').includes('already has an active session') && found;
    });
    expect(pod?.status?.containerStatuses?.[0]?.ready).toBe(false);
    // What it says again and again is written once: a wait of days is no load.
    const { name: waiting, resourceVersion } = pod.metadata;
    await sleep(500);
    const later = await kube.get<RunningPod>('Pod', controllerNamespace, waiting);
    expect(later?.metadata.resourceVersion).toBe(resourceVersion);
    expect((await getSet(other))?.status?.phase).toBe('Pending');
    expect((await getSet(other))?.metadata.annotations?.['runner-scale-set-id']).toBe(
      (await getSet(name))?.metadata.annotations?.['runner-scale-set-id'],
    );
  });
});

describe('going away', () => {
  test('in order: everything made goes, what the annotations name is released', async () => {
    const name = `gone-${tag}`;
    const namespace = `runners-${name}`;
    const set = await tenant(name, { protect: true, spec: { minRunners: 1 } });
    await running(name);
    await until('a runner', async () => (await list('Pod', namespace)).length === 1);
    // As an uninstall does it: all at once.
    await kube.delete(set);
    for (const kind of ['Role', 'RoleBinding'])
      await kube.delete({ kind, metadata: { name: `${name}-gha-rs-manager`, namespace } });
    await kube.delete({ kind: 'ServiceAccount', metadata: { name: `${name}-gha-rs-no-permission`, namespace } });
    await until('the set to go', async () => !(await getSet(name)));
    expect(scaleSetNamed(name)).toBeUndefined();
    expect(await listenerOfSet(name)).toBeUndefined();
    await until('the rest to go', async () => {
      const left = await Promise.all(
        ['Role', 'RoleBinding', 'EphemeralRunnerSet', 'EphemeralRunner', 'Pod'].map((kind) => list(kind, namespace)),
      );
      return left.flat().length === 0;
    });
    expect((await list('ServiceAccount', namespace)).map((account) => account.metadata.name)).toEqual(['default']);
  });

  test('not without the Secret', async () => {
    const name = `wedge-${tag}`;
    const set = await tenant(name);
    await running(name);
    const secret = (await kube.get<Secret>('Secret', `runners-${name}`, 'github')) as Secret;
    await kube.delete(secret);
    await kube.delete(set);
    await until('the error', () =>
      errors.some((error) => error.includes(name) && error.includes('Failed to find GitHub config secret')),
    );
    expect(await getSet(name)).toBeDefined();
    const { metadata, ...rest } = secret;
    await kube.create({ ...rest, metadata: { name: metadata.name, namespace: `runners-${name}` } });
    await until('the set to go', async () => !(await getSet(name)), 40);
  });
});

test('the API server goes away and comes back, and all goes on by itself', async () => {
  const name = `away-${tag}`;
  await tenant(name);
  await running(name);
  way.cut();
  const job = github.queueJob({ repository: 'tinyland-inc/lab', labels: [name] });
  await sleep(1500);
  expect(await list('EphemeralRunner', `runners-${name}`)).toEqual([]);
  await way.open();
  await until('the job to end', () => jobOf(job.id)?.phase === 'completed', 40);
});

let restarts = 0;

test('a restart goes on where it was, in the middle of a job', async () => {
  restarts += 1;
  const name = `again${restarts}-${tag}`;
  await tenant(name, { spec: { minRunners: 1 } });
  await running(name);
  const job = github.queueJob({ repository: 'tinyland-inc/lab', labels: [name], durationSeconds: 2 });
  await until('the job to run', () => jobOf(job.id)?.phase === 'running');
  await arc.stop();
  const before = (await list('EphemeralRunnerSet', `runners-${name}`)).map((set) => set.metadata.uid);
  arc = await begin();
  await until('the job to end', () => jobOf(job.id)?.phase === 'completed');
  await running(name);
  expect((await list('EphemeralRunnerSet', `runners-${name}`)).map((set) => set.metadata.uid)).toEqual(before);
  const next = github.queueJob({ repository: 'tinyland-inc/lab', labels: [name] });
  await until('the next job to end', () => jobOf(next.id)?.phase === 'completed');
});
