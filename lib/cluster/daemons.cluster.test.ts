import { beforeAll, describe, expect, test } from 'vitest';
import { accountClient, clusterClient } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster, type TestCluster } from '#sandbox/test-support/index.ts';
import { podsOf, type Container, type Pod } from '#sandbox/test-support/pods.ts';
import { arc, enrolAtAll, objectsAtAll } from '#sandbox/test-support/tenants.ts';
import { enrolledApart } from './fixtures/tenants.ts';
import { applyObject, inParallel, type ClusterClient, type KubernetesObject } from './index.ts';

/*
 * Pools of the classes `builds` and `dind` on the real API server: that what is rendered is admitted, at which level of Pod
 * Security at most, that the admission policy lets nothing off but the daemon, and what of the multi-tenancy benchmark matters
 * where no level of Pod Security holds (MTB: see mtb.cluster.test.ts), asked as who may make pods there.
 */

const slug = 'apart';
const dind = `dind-${slug}`;
const runners = `runners-${slug}`;

let cluster: TestCluster;
let admin: ClusterClient;
let objects: KubernetesObject[];
const pods = podsOf(objectsAtAll(slug, enrolledApart)).filter(({ namespace }) => namespace === dind);
const jobs = pods.filter(({ name }) => !name.endsWith('-gitlab'));

beforeAll(async () => {
  cluster = await testCluster();
  admin = clusterClient(cluster.kubeconfigPath);
  await inParallel(['kata', 'no-machine'], async (name) => {
    const body = { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name }, handler: name };
    const path = '/apis/node.k8s.io/v1/runtimeclasses';
    await admin.call({ method: 'POST', path, body }, 'a runtime class').catch(() => undefined);
  });
  // Their pods would take of the quota what is tried below.
  objects = await enrolAtAll(cluster, slug, enrolledApart, ['Deployment']);
}, 180_000);

function tried(client: ClusterClient, namespace: string, { metadata, spec }: Pod): Promise<KubernetesObject> {
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'tried' }, spec };
  const query = { dryRun: 'All', fieldValidation: 'Strict' };
  return client.call({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods`, query, body }, 'a pod');
}

const named = (label: string) => `${slug}-${label}`;
const podOf = (name: string): Pod => {
  const made = jobs.find((each) => each.name === name);
  if (!made) throw new Error(`no pod ${name}`);
  return structuredClone(made.pod);
};
/** As ARC makes them. */
const building = () => podOf(named('images'));
const machine = () => podOf(named('machines'));

// ------------------------------------------------------------------------------------------------ what is rendered

test.each(pods)('$name is admitted in the second namespace', async ({ pod }) => {
  await expect(tried(admin, dind, pod)).resolves.toMatchObject({ kind: 'Pod' });
});

test('and is all of it: two sets, two managers and their jobs, three runners of Forgejo', () => {
  expect([pods.length, jobs.length]).toEqual([2 + 4 + 3, 2 + 2 + 3]);
});

test('none of a job’s pods is admitted beside restricted ones', async () => {
  for (const { pod } of jobs) await expect(tried(admin, runners, pod)).rejects.toMatchObject({ code: 'forbidden' });
});

describe('the level of Pod Security that the second namespace enforces is the highest that admits its pods', () => {
  const levels = ['restricted', 'baseline', 'privileged'] as const;
  const versions = ['v1.34', 'latest'] as const;
  const at = (level: string, version: string) => `level-${level}-${version.replace('.', '-')}`;
  const all = levels.flatMap((level) => versions.map((version) => ({ level, version, name: at(level, version) })));
  const accounts = [...new Set(jobs.map(({ pod }) => String(pod.spec['serviceAccountName'])))];

  beforeAll(async () => {
    await inParallel(all, async ({ level, version, name }) => {
      const labels = {
        'pod-security.kubernetes.io/enforce': level,
        'pod-security.kubernetes.io/enforce-version': version,
      };
      await applyObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
      for (const account of accounts)
        await applyObject(admin, {
          apiVersion: 'v1',
          kind: 'ServiceAccount',
          metadata: { name: account, namespace: name },
        });
    });
  }, 60_000);

  test.each(versions)('as of %s', async (version) => {
    for (const { pod } of jobs) {
      const isMachine = pod.spec['runtimeClassName'] === 'kata';
      // A user namespace relaxes users and /proc, and neither seccomp nor AppArmor nor privilege.
      const why = isMachine ? /privileged/ : /seccompProfile/;
      for (const level of ['restricted', 'baseline'])
        await expect(tried(admin, at(level, version), pod)).rejects.toMatchObject({
          code: 'forbidden',
          message: expect.stringMatching(new RegExp(`violates PodSecurity "${level}:.*${why.source}`, 's')) as string,
        });
      await expect(tried(admin, at('privileged', version), pod)).resolves.toMatchObject({ kind: 'Pod' });
    }
    const [namespace] = objects.filter(({ kind, metadata }) => kind === 'Namespace' && metadata.name === dind);
    expect(namespace?.metadata.labels).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'privileged' });
  });
});

// ------------------------------------------------------------------------------------------------ what is not

type Change = (pod: Pod) => unknown;

const whole =
  (more: object): Change =>
  ({ spec }) =>
    Object.assign(spec, more);
const runner =
  (more: object): Change =>
  ({ spec: { containers } }) => {
    const [first] = containers;
    if (first) first['securityContext'] = { ...(first['securityContext'] as object), ...more };
  };
const sidecarOf = ({ spec }: Pod): Container =>
  (spec['initContainers'] as Container[]).find(({ restartPolicy }) => restartPolicy === 'Always') as Container;
const sidecar =
  (more: object): Change =>
  (pod) =>
    Object.assign(sidecarOf(pod), more);
const daemon =
  (more: object): Change =>
  (pod) => {
    const found = sidecarOf(pod);
    found['securityContext'] = { ...(found['securityContext'] as object), ...more };
  };
const another = (image: string) => sidecar({ image });
/** The same container, where it is no sidecar. */
const asContainer: Change = (pod) => {
  const { restartPolicy: _, ...found } = sidecarOf(pod);
  const before = (pod.spec['initContainers'] as Container[]).filter(({ name }) => name !== found.name);
  Object.assign(pod.spec, { initContainers: before, containers: [...pod.spec.containers, found] });
};
const hostPath: Change = ({ spec }) => (spec['volumes'] as object[]).push({ name: 'host', hostPath: { path: '/' } });
const privileged = { privileged: true, allowPrivilegeEscalation: true };
const withoutUsers = { hostUsers: true };

/** Rule, what is changed, and of which pod. */
const overrides: [string, string, Change, () => Pod][] = [
  ['privileged', 'a privileged BuildKit', daemon(privileged), building],
  ['privileged', 'a privileged runner beside BuildKit', runner(privileged), building],
  ['privileged', 'a privileged runner beside Docker', runner(privileged), machine],
  ['privileged', 'Docker without a virtual machine', (pod) => delete pod.spec['runtimeClassName'], machine],
  [
    'privileged',
    'Docker in a runtime that is none',
    whole({ runtimeClassName: 'no-machine', hostUsers: false }),
    machine,
  ],
  ['privileged', 'Docker on any node', whole({ nodeSelector: {} }), machine],
  ['privileged', 'Docker on another’s nodes', whole({ nodeSelector: { 'flywheel.dev/class': 'gpu' } }), machine],
  ['privileged', 'Docker without the taint that keeps its nodes', whole({ tolerations: [] }), machine],
  ['privileged', 'another image in Docker’s place', another('docker.io/library/docker:29-dind'), machine],
  ['privileged', 'another name in Docker’s place', sidecar({ name: 'docker' }), machine],
  ['privileged', 'Docker as no sidecar', asContainer, machine],
  ['privilege-escalation', 'a runner that escalates', runner({ allowPrivilegeEscalation: true }), building],
  ['privilege-escalation', 'another image in BuildKit’s place', another('docker.io/moby/buildkit:master'), building],
  ['privilege-escalation', 'BuildKit as no sidecar', asContainer, building],
  [
    'capabilities',
    'BuildKit with more than two capabilities',
    daemon({ capabilities: { drop: ['ALL'], add: ['SETGID', 'SETUID', 'SYS_ADMIN'] } }),
    building,
  ],
  ['capabilities', 'BuildKit with all of them', daemon({ capabilities: { add: ['SETUID'] } }), building],
  ['capabilities', 'a runner with one', runner({ capabilities: { drop: ['ALL'], add: ['SETUID'] } }), building],
  ['root', 'BuildKit as root', daemon({ runAsNonRoot: false, runAsUser: 0 }), building],
  ['root', 'a runner as root', runner({ runAsNonRoot: false, runAsUser: 0 }), machine],
  ['seccomp', 'a runner without seccomp', runner({ seccompProfile: { type: 'Unconfined' } }), building],
  ['apparmor', 'a runner without AppArmor', runner({ appArmorProfile: { type: 'Unconfined' } }), machine],
  ['proc-mount', 'BuildKit with the whole of /proc', daemon({ procMount: 'Unmasked' }), building],
  ['host-users', 'BuildKit among the node’s users', whole(withoutUsers), building],
  ['host-pid', 'the node’s processes', whole({ ...withoutUsers, hostPID: true }), building],
  ['host-ipc', 'the node’s IPC', whole({ ...withoutUsers, hostIPC: true }), building],
  ['host-network', 'the node’s network', whole({ ...withoutUsers, hostNetwork: true }), building],
  ['host-pid', 'the node’s processes, of a machine', whole({ hostPID: true }), machine],
  ['host-network', 'the node’s network, of a machine', whole({ hostNetwork: true }), machine],
  ['volumes', 'the node’s files', hostPath, building],
  ['volumes', 'the node’s files in a machine', hostPath, machine],
  ['runtime-class', 'a runtime that no pool names', whole({ runtimeClassName: 'no-machine' }), building],
  ['account-token', 'a token of the API server', whole({ automountServiceAccountToken: true }), machine],
];

const changed = (change: Change, pod: () => Pod) => {
  const made = pod();
  change(made);
  return made;
};

describe('A17: the policy lets off nothing but the daemon', () => {
  // As the tenant's, and bound by no policy.
  const bare = 'dind-unguarded';

  beforeAll(async () => {
    const [namespace] = objects.filter(({ kind, metadata }) => kind === 'Namespace' && metadata.name === dind);
    const { annotations = {} } = namespace?.metadata ?? {};
    await applyObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: bare, annotations } });
    for (const name of new Set(jobs.map(({ pod }) => String(pod.spec['serviceAccountName']))))
      await applyObject(admin, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace: bare } });
  }, 60_000);

  test('nor would anything else hold these pods: without it, each of the below is admitted', async () => {
    await inParallel(overrides, async ([, , change, pod]) => {
      await expect(tried(admin, bare, changed(change, pod))).resolves.toMatchObject({ kind: 'Pod' });
    });
  });

  test.each(overrides)('%s: %s is refused', async (rule, _, change, pod) => {
    const answer = tried(admin, dind, changed(change, pod));
    await expect(answer).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining(`${rule}: `) as string,
    });
  });
});

test('A17: a daemon is let off in the second namespace alone, whatever another is told of its image', async () => {
  const namespace = 'runners-apart-told';
  const [second] = objects.filter(({ kind, metadata }) => kind === 'Namespace' && metadata.name === dind);
  const { labels = {}, annotations = {} } = second?.metadata ?? {};
  await applyObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels, annotations } });
  for (const [pod, rule] of [
    [building(), 'privilege-escalation'],
    [machine(), 'privileged'],
  ] as const) {
    const metadata = { name: String(pod.spec['serviceAccountName']), namespace };
    await applyObject(admin, { apiVersion: 'v1', kind: 'ServiceAccount', metadata });
    await expect(tried(admin, namespace, pod)).rejects.toMatchObject({
      message: expect.stringContaining(`${rule}: `) as string,
    });
  }
});

// ------------------------------------------------------------------------------------------------ as the tenant

describe('MTB in the second namespace, as the two that may make pods there, and as the jobs themselves', () => {
  let makers: Record<string, ClusterClient>;
  let others: Record<string, ClusterClient>;
  beforeAll(async () => {
    const at = (name: string, namespace = dind) => accountClient(cluster.kubeconfigPath, { namespace, name });
    makers = {
      'GitLab’s manager': await at(named('images-gitlab')),
      'ARC’s manager': await at(arc.serviceAccount, arc.namespace),
    };
    others = {
      'a GitHub runner': await at(named('machines-gha-rs-no-permission')),
      'a GitLab job': await at(named('images-gitlab-job')),
      'a Forgejo runner': await at(named('machines-forgejo')),
    };
    await eventually('the manager’s rights', () =>
      tried(makers['ARC’s manager'] as ClusterClient, dind, building()).then(
        () => true,
        () => false,
      ),
    );
  }, 60_000);

  const gitlabJob = () => podOf(named('images-gitlab-job'));

  test('what is refused below is refused for what is changed', async () => {
    for (const client of Object.values(makers)) {
      await expect(tried(client, dind, building())).resolves.toMatchObject({ kind: 'Pod' });
      await expect(tried(client, dind, gitlabJob())).resolves.toMatchObject({ kind: 'Pod' });
    }
    for (const client of Object.values(others))
      await expect(tried(client, dind, building())).rejects.toMatchObject({
        message: expect.stringContaining('cannot create resource "pods"') as string,
      });
  });

  const hostile: [string, Change][] = [
    ['MTB-PL1-BC-CPI-5: Block privileged containers', daemon(privileged)],
    ['MTB-PL1-BC-CPI-5: the same of a job’s own', runner(privileged)],
    ['MTB-PL1-BC-CPI-6: Block privilege escalation', runner({ allowPrivilegeEscalation: true })],
    ['MTB-PL1-BC-CPI-3: Block add capabilities', runner({ capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } })],
    ['MTB-PL1-BC-HI-1: Block use of host path volumes', hostPath],
    ['MTB-PL1-BC-HI-3: Block use of host networking and ports', whole({ ...withoutUsers, hostNetwork: true })],
    ['MTB-PL1-BC-HI-4: Block use of host PID', whole({ ...withoutUsers, hostPID: true })],
    ['MTB-PL1-BC-HI-5: Block use of host IPC', whole({ ...withoutUsers, hostIPC: true })],
  ];

  test.each(hostile)('%s', async (_, change) => {
    for (const pod of [building, gitlabJob])
      for (const client of Object.values(makers))
        await expect(tried(client, dind, changed(change, pod))).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('MTB-PL1-CC-TI-2: what may make pods there may read nothing of the restricted namespace', async () => {
    const manager = makers['GitLab’s manager'] as ClusterClient;
    for (const path of ['secrets', 'pods'].map((each) => `/api/v1/namespaces/${runners}/${each}`))
      await expect(manager.call({ method: 'GET', path }, 'a list')).rejects.toMatchObject({ code: 'forbidden' });
    await expect(tried(manager, runners, gitlabJob())).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('MTB-PL1-CC-FNS-1: each namespace has a part of the quota, and no more of it than together was given', async () => {
    const hard = async (namespace: string) => {
      const path = `/api/v1/namespaces/${namespace}/resourcequotas/flywheel`;
      return (await admin.call<{ spec: { hard: Record<string, string> } }>({ method: 'GET', path }, 'a quota')).spec
        .hard;
    };
    expect(await hard(dind)).toMatchObject({ 'limits.cpu': '12600m', pods: '6' });
    const large: Change = ({ spec: { containers } }) =>
      Object.assign(containers[0] ?? {}, {
        resources: { limits: { cpu: '11', memory: '1Gi', 'ephemeral-storage': '1Gi' } },
      });
    await expect(tried(admin, dind, changed(large, building))).rejects.toMatchObject({
      message: expect.stringContaining('exceeded quota: flywheel') as string,
    });
  });
});
