import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { buildControlPlane, startControlPlane, type ControlPlane } from '#sandbox/control-plane.ts';
import { gitlabConfig } from '#sandbox/runners/config.ts';
import { jobPod } from '#sandbox/runners/job-pod.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import {
  applyObject,
  ClusterView,
  dryRunObjects,
  enrollmentObjects,
  ensureObjects,
  readObject,
  runnerNamesOf,
  sealedValue,
  tenantObjects,
  type ClusterClient,
  type KubernetesObject,
  type PoolInput,
  type Registration,
} from './index.ts';
import { runtimeClassesAnnotation, tolerationsAnnotation } from './objects.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const allowed = () => Promise.resolve();

const documents = `
apiVersion: flywheel/v1
kind: Cluster
metadata: { name: main }
spec: { controller: { version: 0.14.2, namespace: arc-systems, serviceAccount: arc-gha-rs-controller } }
---
apiVersion: flywheel/v1
kind: Tenant
metadata: { name: cmux }
spec: { kind: organization, cluster: main, quota: { cpu: "16", memory: 32Gi, runners: 8 } }
---
apiVersion: flywheel/v1
kind: Enrollment
metadata: { name: cmux, tenant: cmux }
spec:
  scope: { forge: "https://github.com", level: repository, path: JessSullivan/cmux }
  credentials: { appId: "12345", installationId: 67890 }
  pools:
    - { pool: docker, maxRunners: 4 }
    - { pool: nix, minRunners: 0, maxRunners: 2 }
  planes: { attic: {}, bazel: {} }
`;

function flywheel(args: string[], input: string): string {
  return execFileSync(process.execPath, ['lib/cli.ts', ...args], { cwd: root, input, encoding: 'utf8' });
}

/** What was rendered, with the Secrets as the portal itself applies them, so that what is there can be compared. */
function unsealed(text: string): KubernetesObject[] {
  return parseAllDocuments(text).map((document) => {
    const object = document.toJS() as KubernetesObject;
    if (object.kind !== 'Secret') return object;
    const { stringData, ...rest } = object;
    const keys = Object.keys(stringData as object);
    return { ...rest, data: Object.fromEntries(keys.map((key) => [key, Buffer.from(key).toString('base64')])) };
  });
}

type Pod = { metadata: object; spec: Record<string, unknown> & { containers: Record<string, unknown>[] } };

/** Whether the API server would have that pod there, strictly read. The portal itself makes none. */
async function tried(namespace: string, { metadata, spec }: Pod): Promise<unknown> {
  const client = clusterClient((await testCluster()).kubeconfigPath);
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'tried' }, spec };
  const query = { dryRun: 'All', fieldValidation: 'Strict' };
  return client.call({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods`, query, body }, 'a pod');
}

// Custom resources are the whole cluster's and other tests have the sandbox's own, so this is another cluster.
const crdsDir = process.env['ARC_CRDS_DIR'];

describe.skipIf(!crdsDir)('what `flywheel render` prints, with ARC’s own custom resources', () => {
  let controlPlane: ControlPlane;
  let client: ClusterClient;
  let rendered: string;
  let objects: KubernetesObject[];

  beforeAll(async () => {
    const dataDir = join(mkdtempSync(join(tmpdir(), 'flywheel-test-')), 'control-plane');
    controlPlane = await startControlPlane({ dataDir, binary: await buildControlPlane(), keepData: false });
    controlPlane.kubectl('apply', '--server-side', '-f', crdsDir ?? '');
    controlPlane.kubectl('wait', '--for=condition=Established', '--timeout=60s', 'crd', '--all');
    client = clusterClient(controlPlane.portalKubeconfigPath);
    rendered = flywheel(['render', '-f', '-'], documents);
    objects = unsealed(rendered);
  }, 180_000);
  afterAll(() => controlPlane?.stop());

  test('is planned, applied with the portal’s own rights, and then nothing is left to do', async () => {
    expect(rendered).toContain(sealedValue);
    const planned = await dryRunObjects(client, objects);
    expect(new Set(planned.map(({ op }) => op))).toEqual(new Set(['+']));
    const [namespace] = objects;
    expect(namespace && (await readObject(client, namespace))).toBeUndefined();

    const view = new ClusterView(client);
    expect(await ensureObjects(view, objects, allowed)).toEqual({ applied: objects.length, unchanged: 0 });
    expect(objects.filter(({ kind }) => kind === 'AutoscalingRunnerSet').length).toBe(2);

    const again = await dryRunObjects(client, objects);
    expect(again.filter(({ op }) => op !== '=')).toEqual([]);
    // A worker that starts now finds all of it in its first list: what the server filled in is no difference.
    const abort = new AbortController();
    const fresh = new ClusterView(client);
    fresh.start(abort.signal);
    expect(await fresh.whenSynced(20_000)).toBe(true);
    const before = { ...client.sent };
    expect(await ensureObjects(fresh, objects, allowed)).toEqual({ applied: 0, unchanged: objects.length });
    expect({ ...client.sent, GET: before.GET }).toEqual(before);
    abort.abort();
    await fresh.stopped();
  });

  test('a field that ARC does not know is refused, not dropped', async () => {
    const set = objects.find(({ kind }) => kind === 'AutoscalingRunnerSet') as KubernetesObject;
    const spec = set['spec'] as Record<string, unknown>;
    const wrong = [
      { ...spec, minRunner: 1 },
      { ...spec, minRunners: -1 },
      { ...spec, template: { spec: { containers: [{ name: 'runner', imagePullPolicies: 'Always' }] } } },
    ];
    for (const each of wrong) {
      const applied = applyObject(client, { ...set, spec: each }, true);
      await expect(applied).rejects.toMatchObject({ code: 'invalid' });
    }
    await expect(applyObject(client, set, true)).resolves.toMatchObject({ spec });
  });
});

// ------------------------------------------------------------------------------------------------ the other forges

const registrations: { gitlab: (slug: string) => Registration; forgejo: (slug: string) => Registration } = {
  gitlab: (slug) => ({
    kind: 'gitlab',
    url: 'https://gitlab.example.org',
    runners: { [`flywheel-${slug}-docker`]: { token: 'glrt-token' } },
  }),
  forgejo: (slug) => ({
    kind: 'forgejo',
    url: 'https://forgejo.example.org',
    runners: Object.fromEntries(
      runnerNamesOf('forgejo', { scaleSetName: `${slug}-docker`, maxRunners: 2 }).map((name) => [
        name,
        { uuid: name, token: '0'.repeat(40) },
      ]),
    ),
    ephemeral: true,
  }),
};

const docker = {
  name: 'docker',
  description: '',
  cpu: '2',
  memory: '4Gi',
  storage: '20Gi',
  image: 'ghcr.io/actions/actions-runner:2.333.0',
  securityClass: 'restricted' as const,
};

const caBundle = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';

/** The pods in which jobs of such a pool run. */
function placedSpecs(kind: 'gitlab' | 'forgejo', pool: PoolInput['pool'], slug: string): Pod[] {
  const choice = { pool, scaleSetName: `${slug}-docker`, minRunners: 0, maxRunners: 2 };
  const tenant = { slug, quota: { cpu: '16', memory: '32Gi', runners: 8 }, hasBazel: false };
  const registration = registrations[kind](slug);
  const objects = enrollmentObjects({ tenant, name: slug, registration, pools: [choice], cacheEnv: {} });
  if (kind === 'forgejo')
    return objects.flatMap((each) =>
      each.kind === 'Deployment' ? [(each['spec'] as { template: Pod }).template] : [],
    );
  const secret = objects.find(({ metadata }) => metadata.name === `${slug}-docker-gitlab`) as KubernetesObject;
  const config = Buffer.from((secret['data'] as Record<string, string>)['config.toml'] ?? '', 'base64').toString();
  const job = { id: 1, projectId: 2, image: null, services: [], timeoutSeconds: 3600 };
  return [jobPod(gitlabConfig(config).runners[0], job) as unknown as Pod];
}

describe.each(['gitlab', 'forgejo'] as const)('what is rendered for %s, in a network of one’s own', (kind) => {
  const slug = `at-${kind}`;
  const objects = enrollmentObjects({
    tenant: {
      slug,
      quota: { cpu: '16', memory: '32Gi', runners: 8 },
      hasBazel: false,
      managers: kind === 'gitlab' ? 1 : 0,
    },
    name: slug,
    registration: registrations[kind](slug),
    pools: [{ pool: docker, scaleSetName: `${slug}-docker`, minRunners: 0, maxRunners: 2 }],
    forgeEndpoint: { namespace: 'forge', port: 3000 },
    caBundle,
    cacheEnv: { ATTIC_TOKEN: 'token' },
  });
  let client: ClusterClient;
  beforeAll(async () => {
    client = clusterClient((await testCluster()).portalKubeconfigPath);
  }, 180_000);

  test('is planned, applied with the portal’s own rights, and then nothing is left to do', async () => {
    const planned = await dryRunObjects(client, objects);
    expect(new Set(planned.map(({ op }) => op))).toEqual(new Set(['+']));
    const view = new ClusterView(client);
    expect(await ensureObjects(view, objects, allowed)).toEqual({ applied: objects.length, unchanged: 0 });
    const again = await dryRunObjects(client, objects);
    expect(again.filter(({ op }) => op !== '=')).toEqual([]);

    const abort = new AbortController();
    const fresh = new ClusterView(client);
    fresh.start(abort.signal);
    expect(await fresh.whenSynced(20_000)).toBe(true);
    expect(await ensureObjects(fresh, objects, allowed)).toEqual({ applied: 0, unchanged: objects.length });
    abort.abort();
    await fresh.stopped();
  });

  test('makes pods that the namespace and its quota admit', async () => {
    const pods = objects.flatMap((each) =>
      each.kind === 'Deployment' ? [(each['spec'] as { template: Pod }).template] : [],
    );
    expect(pods.length).toBe(kind === 'gitlab' ? 1 : 2);
    for (const pod of pods) await expect(tried(`runners-${slug}`, pod)).resolves.toMatchObject({ kind: 'Pod' });
  });

  test('makes pods that the namespace admits where the catalog places them, too', async () => {
    const gvisor = { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name: `${slug}-gvisor` } };
    const path = '/apis/node.k8s.io/v1/runtimeclasses';
    const admin = clusterClient((await testCluster()).kubeconfigPath);
    await admin.call({ method: 'POST', path, body: { ...gvisor, handler: 'runsc' } }, 'the RuntimeClass');
    const placement = {
      runtimeClass: gvisor.metadata.name,
      nodeSelector: { 'flywheel.dev/class': 'restricted' },
      tolerations: [{ key: 'flywheel.dev/class', value: 'restricted' }, { key: 'dedicated' }],
    };
    const annotations = {
      // As beside a pool that asks for no class.
      [runtimeClassesAnnotation]: `,${gvisor.metadata.name}`,
      [tolerationsAnnotation]: 'flywheel.dev/class,dedicated',
    };
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: `runners-${slug}` } };
    await admin.mergePatch(namespace, { metadata: { annotations } });
    for (const spec of placedSpecs(kind, { ...docker, placement }, slug)) {
      const pod = await tried(`runners-${slug}`, spec);
      expect(pod).toMatchObject({
        spec: {
          runtimeClassName: gvisor.metadata.name,
          nodeSelector: { 'flywheel.dev/class': 'restricted', 'kubernetes.io/os': 'linux' },
          tolerations: expect.arrayContaining([
            { key: 'flywheel.dev/class', operator: 'Equal', value: 'restricted' },
            { key: 'dedicated', operator: 'Exists' },
          ]) as object[],
        },
      });
    }
  });

  test('a field that a Deployment does not know is refused, not dropped', async () => {
    const deployment = objects.find((each) => each.kind === 'Deployment') as KubernetesObject;
    const spec = { ...(deployment['spec'] as object), replica: 1 };
    await expect(applyObject(client, { ...deployment, spec }, true)).rejects.toMatchObject({ code: 'invalid' });
  });

  if (kind !== 'gitlab') return;

  test('A17: a job’s pod, as the manager makes it of its configuration, is admitted', async () => {
    const secret = objects.find(({ metadata }) => metadata.name === `${slug}-docker-gitlab`) as KubernetesObject;
    const { 'config.toml': config = '' } = secret['data'] as Record<string, string>;
    const text = Buffer.from(config, 'base64').toString();
    const job = { id: 1, projectId: 2, image: null, services: ['postgres:18'], timeoutSeconds: 3600 };
    const ask = (given: string) =>
      tried(`runners-${slug}`, jobPod(gitlabConfig(given).runners[0], job) as unknown as Pod);
    await expect(ask(text)).resolves.toMatchObject({ kind: 'Pod' });
    const privileged = text.replace('privileged = false', 'privileged = true');
    // Each line is needed: without it the namespace refuses the pod.
    for (const weaker of [
      text.replace('allow_privilege_escalation = false', ''),
      text.replace('cap_drop = ["ALL"]', ''),
      text.replace('run_as_non_root = true', ''),
      text.replaceAll('RuntimeDefault', 'Unconfined'),
      privileged.replace('escalation = false', 'escalation = true'),
    ])
      await expect(ask(weaker)).rejects.toMatchObject({
        code: 'forbidden',
        message: expect.stringContaining('violates PodSecurity "restricted:') as string,
      });
    // F24: and it counts as much as was said.
    await expect(ask(text.replace('cpu_limit = "1750m"', 'cpu_limit = "17"'))).rejects.toMatchObject({
      code: 'forbidden',
    });
  });
});

describe('what is rendered for a GitHub Enterprise Server, in a network of one’s own', () => {
  const slug = 'at-github';
  const objects = enrollmentObjects({
    tenant: { slug, quota: { cpu: '16', memory: '32Gi', runners: 8 }, hasBazel: false },
    name: slug,
    registration: {
      kind: 'github',
      configUrl: 'https://github.example.org/acme',
      credentials: { appId: '1', installationId: '2', privateKey: 'key' },
      controller: { version: '0.14.2', namespace: 'arc-systems', serviceAccount: 'arc-gha-rs-controller' },
    },
    pools: [{ pool: docker, scaleSetName: `${slug}-docker`, minRunners: 0, maxRunners: 2 }],
    forgeEndpoint: { cidr: '10.9.8.7/32', port: 8443 },
    caBundle,
    cacheEnv: {},
  });
  const [set] = objects.filter(({ kind }) => kind === 'AutoscalingRunnerSet') as [KubernetesObject];
  let client: ClusterClient;
  beforeAll(async () => {
    client = clusterClient((await testCluster({ arc: true })).portalKubeconfigPath);
  }, 180_000);

  test('is applied with the portal’s own rights, which may give ARC the ConfigMap to read, and then nothing is left to do', async () => {
    // Without the set, which the controller there would try to register.
    const around = objects.filter((object) => object !== set);
    const view = new ClusterView(client);
    expect(await ensureObjects(view, around, allowed)).toEqual({ applied: around.length, unchanged: 0 });
    const again = await dryRunObjects(client, around);
    expect(again.filter(({ op }) => op !== '=')).toEqual([]);

    const abort = new AbortController();
    const fresh = new ClusterView(client);
    fresh.start(abort.signal);
    expect(await fresh.whenSynced(20_000)).toBe(true);
    expect(around.filter(({ kind }) => kind === 'ConfigMap').map((map) => fresh.get(map)?.['data'])).toEqual([
      { 'ca.crt': caBundle },
    ]);
    expect(await ensureObjects(fresh, around, allowed)).toEqual({ applied: 0, unchanged: around.length });
    abort.abort();
    await fresh.stopped();
  });

  test('is a set that the custom resource takes, strictly read, whose pod is admitted', async () => {
    const found = await applyObject(client, set, true);
    expect(found['spec']).toMatchObject({
      githubServerTLS: { certificateFrom: { configMapKeyRef: { name: `${slug}-forge-ca`, key: 'ca.crt' } } },
    });
    const { template } = set['spec'] as { template: Pod };
    await expect(tried(`runners-${slug}`, template)).resolves.toMatchObject({ kind: 'Pod' });
  });
});

// ------------------------------------------------------------------------------------------------ A17: Pod Security

describe('A17: what a pod may be in a tenant’s namespace', () => {
  const slug = 'pod-security';
  const quota = { cpu: '16', memory: '32Gi', runners: 8 };
  const objects = enrollmentObjects({
    tenant: { slug, quota, hasBazel: true },
    name: slug,
    registration: {
      kind: 'github',
      configUrl: 'https://github.com/acme',
      credentials: { appId: '1', installationId: '2', privateKey: 'key' },
      controller: { version: '0.14.2', namespace: 'arc-systems', serviceAccount: 'arc-gha-rs-controller' },
    },
    pools: [{ pool: docker, scaleSetName: `${slug}-docker`, minRunners: 0, maxRunners: 4 }],
    cacheEnv: { ATTIC_TOKEN: 'token' },
    bazel: { sizeGib: 20, user: 'runner', password: 'password', also: [] },
  });
  let client: ClusterClient;

  beforeAll(async () => {
    client = clusterClient((await testCluster()).portalKubeconfigPath);
    const builtIn = objects.filter(({ kind }) => kind !== 'AutoscalingRunnerSet');
    await ensureObjects(new ClusterView(client), builtIn, allowed);
  }, 180_000);

  function templateOf(kind: string): Pod {
    const templates = objects.flatMap((each) =>
      each.kind === kind ? [(each['spec'] as { template: Pod }).template] : [],
    );
    return structuredClone(templates[0] as Pod);
  }

  test('a runner and a cache, as they are rendered', async () => {
    await expect(tried(`runners-${slug}`, templateOf('AutoscalingRunnerSet'))).resolves.toMatchObject({
      kind: 'Pod',
    });
    await expect(tried(`bazel-${slug}`, templateOf('Deployment'))).resolves.toMatchObject({ kind: 'Pod' });
  });

  const container = (more: object) => (pod: Pod) => Object.assign(pod.spec.containers[0] ?? {}, more);
  const context = (more: object) => (pod: Pod) => {
    const [first = {}] = pod.spec.containers;
    first['securityContext'] = { ...(first['securityContext'] as object), ...more };
  };
  const whole = (more: object) => (pod: Pod) => Object.assign(pod.spec, more);
  const hostPath = { name: 'host', hostPath: { path: '/' } };

  test.each<[string, (pod: Pod) => unknown]>([
    ['privileged', context({ privileged: true, allowPrivilegeEscalation: true })],
    [
      'with the host’s files',
      whole({ volumes: [hostPath, { name: 'work', emptyDir: {} }, { name: 'tmp', emptyDir: {} }] }),
    ],
    ['in the host’s network', whole({ hostUsers: true, hostNetwork: true })],
    ['among the host’s processes', whole({ hostUsers: true, hostPID: true })],
    ['in the host’s IPC', whole({ hostUsers: true, hostIPC: true })],
    ['on a host’s port', container({ ports: [{ containerPort: 80, hostPort: 80 }] })],
    ['with another capability', context({ capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } })],
    ['with its capabilities kept', context({ capabilities: {} })],
    ['escalating', context({ allowPrivilegeEscalation: true })],
    ['without seccomp', context({ seccompProfile: { type: 'Unconfined' } })],
    ['as root', context({ runAsNonRoot: false, runAsUser: 0 })],
    ['with the host’s /proc', context({ procMount: 'Unmasked' })],
    ['with another SELinux type', context({ seLinuxOptions: { type: 'spc_t' } })],
    ['setting the kernel', whole({ securityContext: { sysctls: [{ name: 'kernel.msgmax', value: '1' }] } })],
    [
      'with a second, privileged container',
      (pod) => pod.spec.containers.push({ name: 'dind', image: 'docker:dind', securityContext: { privileged: true } }),
    ],
    [
      'with a privileged container before it',
      whole({
        initContainers: [{ name: 'dind', image: 'docker:dind', securityContext: { privileged: true } }],
      }),
    ],
  ])('not %s', async (_, change) => {
    const pod = templateOf('AutoscalingRunnerSet');
    change(pod);
    await expect(tried(`runners-${slug}`, pod)).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('violates PodSecurity "restricted:') as string,
    });
  });

  test('nor as an account that there is not', async () => {
    const pod = templateOf('AutoscalingRunnerSet');
    pod.spec['serviceAccountName'] = 'another';
    await expect(tried(`runners-${slug}`, pod)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('F24: nor larger than the quota, and the answer says so', async () => {
    const pod = templateOf('AutoscalingRunnerSet');
    const resources = { cpu: '16', memory: '33Gi', 'ephemeral-storage': '1Gi' };
    container({ resources: { requests: resources, limits: resources } })(pod);
    await expect(tried(`runners-${slug}`, pod)).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('no service opens a way in', async () => {
    const metadata = { name: 'way-in', namespace: `runners-${slug}` };
    const body = { apiVersion: 'v1', kind: 'Service', metadata, spec: { type: 'NodePort', ports: [{ port: 80 }] } };
    const made = client.call(
      { method: 'POST', path: `/api/v1/namespaces/runners-${slug}/services`, body },
      'a service',
    );
    await expect(made).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('exceeded quota') as string,
    });
  });

  test('A18: the smallest quota makes objects that the API server takes', async () => {
    const small = tenantObjects({
      slug: 'small-quota',
      quota: { cpu: '1m', memory: '1Mi', runners: 0 },
      hasBazel: false,
    });
    const done = await ensureObjects(new ClusterView(client), small, allowed);
    expect(done.applied).toBe(small.length);
  });
});
