import { randomBytes } from 'node:crypto';
import { KubeConfig } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  ClusterView,
  enrollmentObjects,
  ensureObjects,
  runnerNamesOf,
  type ClusterClient,
  type EnrollmentInput,
  type PoolInput,
  type Registration,
} from '#lib/cluster/index.ts';
import { Kube, type Obj, pathOf } from '#sandbox/arc/kube.ts';
import { type Forgejo, startForgejo } from '#sandbox/forgejo/index.ts';
import { type Gitlab, startGitlab } from '#sandbox/gitlab/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { startRunners, type Runners } from './index.ts';

// Two cores may be shared with a build.
vi.setConfig({ testTimeout: 90_000 });

const tag = randomBytes(3).toString('hex');
const errors: string[] = [];
let client: ClusterClient;
let kube: Kube;
let runners: Runners;

beforeAll(async () => {
  const { kubeconfigPath, portalKubeconfigPath } = await testCluster();
  client = clusterClient(portalKubeconfigPath);
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  kube = new Kube(config);
  runners = await startRunners({
    kubeconfig: kubeconfigPath,
    jobSeconds: 1,
    waitScale: 0.05,
    plays: (namespace) => namespace.includes(tag),
    onError: (kind, key, error) => errors.push(`${kind} ${key}: ${String(error)}`),
  });
}, 180_000);
afterAll(() => runners?.stop());

// ------------------------------------------------------------------------------------------------ what is enrolled

const image = 'ghcr.io/actions/actions-runner:2.333.0';
const pool: PoolInput['pool'] = {
  name: 'nix',
  description: '',
  cpu: '4',
  memory: '8Gi',
  storage: '20Gi',
  image,
  securityClass: 'restricted',
};

function enrolled(slug: string, registration: Registration, maxRunners = 2, cpu = '16'): EnrollmentInput {
  return {
    tenant: { slug, quota: { cpu, memory: '32Gi', runners: 8 }, hasBazel: false, managers: 1 },
    name: slug,
    registration,
    pools: [{ pool, scaleSetName: `${slug}-nix`, minRunners: 0, maxRunners }],
    cacheEnv: { ATTIC_TOKEN: 'token' },
  };
}

/** With the portal's own rights: it can grant what GitLab's managers need, or this fails. */
async function apply(input: EnrollmentInput): Promise<void> {
  await ensureObjects(new ClusterView(client), enrollmentObjects(input), () => Promise.resolve());
}

type Pod = Obj & {
  spec: { containers: { name: string; resources: { limits: Record<string, string> } }[] };
  status?: { phase?: string; containerStatuses?: { ready: boolean; restartCount: number }[] };
};

async function podsOf(slug: string, labelSelector = ''): Promise<Pod[]> {
  const path = `${pathOf('Pod', `runners-${slug}`)}?${new URLSearchParams({ labelSelector }).toString()}`;
  return (await kube.call<{ items: Pod[] }>({ method: 'GET', path })).items;
}
const jobPods = (slug: string) => podsOf(slug, 'job.runner.gitlab.com/pod');

async function available(slug: string, name: string): Promise<number> {
  const deployment = await kube.get<Obj & { status?: { availableReplicas?: number } }>(
    'Deployment',
    `runners-${slug}`,
    name,
  );
  return deployment?.status?.availableReplicas ?? 0;
}

const patiently = { timeout: 60_000, interval: 100 };

// ------------------------------------------------------------------------------------------------ GitLab

describe('GitLab’s manager', () => {
  let gitlab: Gitlab;
  beforeAll(async () => {
    gitlab = await startGitlab({ port: 0 });
  });
  afterAll(() => gitlab?.stop());

  /** As the portal registers it: a runner of the group, with the label as its tag. */
  async function registered(slug: string): Promise<Registration> {
    const groups = (await rest('GET', '/groups?search=tinyland')) as { id: number; full_path: string }[];
    const [name = ''] = runnerNamesOf('gitlab', { scaleSetName: `${slug}-nix`, maxRunners: 2 });
    const made = (await rest('POST', '/user/runners', {
      runner_type: 'group_type',
      group_id: groups.find(({ full_path }) => full_path === 'tinyland')?.id,
      description: name,
      tag_list: [`${slug}-nix`],
    })) as { token: string };
    return { kind: 'gitlab', url: gitlab.url, runners: { [name]: { token: made.token } } };
  }

  async function rest(method: string, path: string, body?: object): Promise<unknown> {
    const token = gitlab.accessToken({ path: 'tinyland', scopes: ['api'] });
    const answer = await fetch(`${gitlab.apiUrl}${path}`, {
      method,
      headers: { 'private-token': token, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    });
    expect(answer.ok, `${method} ${path}: ${answer.status}`).toBe(true);
    return answer.json();
  }

  const queue = (slug: string, durationSeconds: number, status: 'success' | 'failed' = 'success') =>
    gitlab.queueJob({ project: 'tinyland/lab/kernels', tags: [`${slug}-nix`], durationSeconds, status });
  const statuses = (jobs: { id: number }[]) => jobs.map(({ id }) => gitlab.state.jobs[id]?.status);

  test('takes jobs as it has room, gives each a pod of the pool’s size, and takes it away again', async () => {
    const slug = `gl-${tag}`;
    await apply(enrolled(slug, await registered(slug)));
    await expect.poll(() => available(slug, `${slug}-nix-gitlab`), patiently).toBe(1);
    const jobs = [queue(slug, 2), queue(slug, 2), queue(slug, 1, 'failed')];
    await expect.poll(async () => (await jobPods(slug)).length, patiently).toBe(2);
    // A third would be more than the pool's maximum.
    expect(statuses(jobs)).toEqual(['running', 'running', 'pending']);
    const [pod] = await jobPods(slug);
    const size = (pod?.spec.containers ?? []).map(({ resources }) => resources.limits['cpu']);
    expect(size).toEqual(['3500m', '500m']);
    expect(pod?.metadata.labels).toMatchObject({ 'flywheel.dev/enrollment': slug, 'flywheel.dev/pool': 'nix' });
    await expect.poll(() => statuses(jobs), patiently).toEqual(['success', 'success', 'failed']);
    await expect.poll(async () => (await jobPods(slug)).length, patiently).toBe(0);
    expect(gitlab.state.jobs[jobs[0]?.id ?? 0]?.trace).toContain('Using Kubernetes executor');
    expect(errors.filter((error) => error.includes(slug))).toEqual([]);
  });

  test('F24: waits for room in the quota, and the job runs when there is some', async () => {
    const slug = `gq-${tag}`;
    await apply(enrolled(slug, await registered(slug), 2, '4'));
    await expect.poll(() => available(slug, `${slug}-nix-gitlab`), patiently).toBe(1);
    const jobs = [queue(slug, 3), queue(slug, 1)];
    await expect.poll(() => statuses(jobs), patiently).toEqual(['running', 'running']);
    await expect.poll(async () => (await jobPods(slug)).length, patiently).toBe(1);
    await expect.poll(() => statuses(jobs), patiently).toEqual(['success', 'success']);
  });

  test('is nothing without its Role: the job fails and says so', async () => {
    const slug = `gr-${tag}`;
    await apply(enrolled(slug, await registered(slug)));
    await expect.poll(() => available(slug, `${slug}-nix-gitlab`), patiently).toBe(1);
    await kube.delete({ kind: 'Role', metadata: { name: `${slug}-nix-gitlab`, namespace: `runners-${slug}` } });
    const job = queue(slug, 1);
    await expect.poll(() => statuses([job]), patiently).toEqual(['failed']);
    expect(gitlab.state.jobs[job.id]?.trace).toContain('cannot create resource "pods"');
  });

  test('A19: a job’s account may nothing, and a manager only what its jobs need', async () => {
    const slug = `gs-${tag}`;
    await apply(enrolled(slug, await registered(slug)));
    const may = async (
      account: string,
      verb: string,
      resource: string,
      subresource = '',
      namespace = `runners-${slug}`,
    ) => {
      const review = await kube
        .as(`system:serviceaccount:runners-${slug}:${account}`)
        .call<{ status: { allowed: boolean } }>({
          method: 'POST',
          path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
          body: {
            apiVersion: 'authorization.k8s.io/v1',
            kind: 'SelfSubjectAccessReview',
            spec: { resourceAttributes: { namespace, verb, resource, subresource } },
          },
        });
      return review.status.allowed;
    };
    const [manager, jobs] = [`${slug}-nix-gitlab`, `${slug}-nix-gitlab-job`];
    const asked: [string, string, string, string?, string?][] = [
      [manager, 'create', 'pods'],
      [manager, 'create', 'pods', 'exec'],
      [manager, 'list', 'secrets'],
      [manager, 'create', 'serviceaccounts'],
      [manager, 'get', 'secrets', '', 'kube-system'],
      [jobs, 'get', 'pods'],
      [jobs, 'get', 'secrets'],
      [jobs, 'create', 'pods', 'exec'],
    ];
    const allowed = await Promise.all(asked.map((each) => may(...each)));
    expect(allowed).toEqual([true, true, false, false, false, false, false, false]);
  });

  test('a new token is read by the same manager, and a job that runs goes on to its end', async () => {
    const slug = `gt-${tag}`;
    await apply(enrolled(slug, await registered(slug)));
    await expect.poll(() => available(slug, `${slug}-nix-gitlab`), patiently).toBe(1);
    const job = queue(slug, 4);
    await expect.poll(() => statuses([job]), patiently).toEqual(['running']);
    const managers = async () =>
      (await podsOf(slug, 'app.kubernetes.io/name=gitlab-runner')).map(({ metadata }) => metadata.uid);
    const before = await managers();
    await apply(enrolled(slug, await registered(slug)));
    const newest = () => Object.values(gitlab.state.runners).toSorted((one, other) => other.id - one.id)[0];
    await expect.poll(() => newest()?.contactedAt, patiently).not.toBeNull();
    await expect.poll(() => statuses([job]), patiently).toEqual(['success']);
    const next = queue(slug, 1);
    await expect.poll(() => statuses([next]), patiently).toEqual(['success']);
    expect(await managers()).toEqual(before);
  });
});

// ------------------------------------------------------------------------------------------------ Forgejo

describe('Forgejo’s runners', () => {
  let forgejo: Forgejo;
  beforeAll(async () => {
    forgejo = await startForgejo({ port: 0 });
  });
  afterAll(() => forgejo?.stop());

  /** As the portal registers them: a runner of the organization for each that may run at once. */
  async function registered(slug: string, ephemeral: boolean): Promise<Registration> {
    const names = runnerNamesOf('forgejo', { scaleSetName: `${slug}-nix`, maxRunners: 2 });
    const headers = {
      authorization: `token ${forgejo.token('ada-tinyland', ['write:organization'])}`,
      'content-type': 'application/json',
    };
    const made = names.map(async (name) => {
      const body = JSON.stringify({ name, ephemeral });
      const answer = await fetch(`${forgejo.url}/api/v1/orgs/tinyland/actions/runners`, {
        method: 'POST',
        headers,
        body,
      });
      expect(answer.status).toBe(201);
      return [name, (await answer.json()) as { uuid: string; token: string }] as const;
    });
    return { kind: 'forgejo', url: forgejo.url, runners: Object.fromEntries(await Promise.all(made)), ephemeral };
  }

  const queue = (slug: string, durationSeconds: number, conclusion: 'success' | 'failure' = 'success') =>
    forgejo.queueJob({ repository: 'tinyland/lab', runsOn: [`${slug}-nix`], durationSeconds, conclusion });
  const statuses = (jobs: { id: number }[]) => jobs.map(({ id }) => forgejo.state.jobs[id]?.status);
  const ready = (slug: string) => Promise.all([1, 2].map((index) => available(slug, `${slug}-nix-${index}-forgejo`)));
  const labels = (slug: string) =>
    Object.values(forgejo.state.runners)
      .filter(({ name }) => name.startsWith(`flywheel-${slug}-`))
      .map((runner) => runner.labels);

  test('ephemeral ones run a job each, and are made anew with a new registration', async () => {
    const slug = `fj-${tag}`;
    await apply(enrolled(slug, await registered(slug, true)));
    await expect.poll(() => ready(slug), patiently).toEqual([1, 1]);
    await expect.poll(() => labels(slug), patiently).toEqual([[`${slug}-nix`], [`${slug}-nix`]]);
    const jobs = [queue(slug, 1), queue(slug, 1, 'failure')];
    await expect.poll(() => statuses(jobs), patiently).toEqual(['success', 'failure']);
    expect(new Set(jobs.map(({ id }) => forgejo.state.jobs[id]?.runnerName)).size).toBe(2);
    // The server knows them no more: they start in vain, and none is ready.
    await expect.poll(() => ready(slug), patiently).toEqual([0, 0]);
    const waiting = queue(slug, 0);
    await apply(enrolled(slug, await registered(slug, true)));
    await expect.poll(() => statuses([waiting]), patiently).toEqual(['success']);
  });

  test('go on as a daemon where the server does not forget them, in the same pods', async () => {
    const slug = `fd-${tag}`;
    await apply(enrolled(slug, await registered(slug, false)));
    await expect.poll(() => ready(slug), patiently).toEqual([1, 1]);
    const jobs = [1, 2, 3, 4].map(() => queue(slug, 0));
    await expect.poll(() => new Set(statuses(jobs)), patiently).toEqual(new Set(['success']));
    expect(await ready(slug)).toEqual([1, 1]);
    const pods = await podsOf(slug);
    expect(pods.map(({ status }) => status?.containerStatuses?.[0]?.restartCount)).toEqual([0, 0]);
  });

  test('a job that was running when its pod went is cancelled, and not left running for ever', async () => {
    const slug = `fc-${tag}`;
    await apply(enrolled(slug, await registered(slug, false)));
    await expect.poll(() => ready(slug), patiently).toEqual([1, 1]);
    const job = queue(slug, 600);
    await expect.poll(() => statuses([job]), patiently).toEqual(['running']);
    const path = pathOf('Deployment', `runners-${slug}`);
    for (const index of [1, 2]) await kube.call({ method: 'DELETE', path: `${path}/${slug}-nix-${index}-forgejo` });
    await expect.poll(() => statuses([job]), patiently).toEqual(['cancelled']);
  });

  test('do not start without their Secret', async () => {
    const slug = `fs-${tag}`;
    const objects = enrollmentObjects(enrolled(slug, await registered(slug, false)));
    const isConfig = ({ kind, metadata }: (typeof objects)[number]) =>
      kind === 'Secret' && metadata.name === `${slug}-nix-1-forgejo`;
    const allowed = () => Promise.resolve();
    const rest = objects.filter((object) => !isConfig(object));
    await ensureObjects(new ClusterView(client), rest, allowed);
    await expect.poll(() => ready(slug), patiently).toEqual([0, 1]);
    await ensureObjects(new ClusterView(client), objects.filter(isConfig), allowed);
    await expect.poll(() => ready(slug), patiently).toEqual([1, 1]);
  });
});
