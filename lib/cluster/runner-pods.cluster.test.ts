import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseDocument } from 'yaml';
import { EnrollmentDocument } from '#lib/model/index.ts';
import { accountClient, clusterClient } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster, type TestCluster } from '#sandbox/test-support/index.ts';
import { podsOf, type Pod } from '#sandbox/test-support/pods.ts';

import { enrolled, forgeKinds, type ForgeKind } from './fixtures/tenants.ts';
import {
  applyObject,
  ClusterView,
  enrollmentObjects,
  ensureObjects,
  holdsPlace,
  inParallel,
  objectPath,
  poolObjects,
  runnerPodRules,
  runnerPodsObjects,
  type ClusterClient,
  type KubernetesObject,
  type PoolInput,
} from './index.ts';
import {
  placementOf,
  runtimeClassesAnnotation,
  sandboxesAnnotation,
  tolerationsAnnotation,
  virtualMachinesAnnotation,
} from './objects.ts';

/* A17 on the real API server: what its admission policy refuses, rule by rule, and that all we render passes. */

let cluster: TestCluster;
let admin: ClusterClient;
beforeAll(async () => {
  cluster = await testCluster();
  admin = clusterClient(cluster.kubeconfigPath);
}, 180_000);

/** Whether the API server would have that pod there, strictly read. */
function tried(client: ClusterClient, namespace: string, { metadata, spec }: Pod): Promise<KubernetesObject> {
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'tried' }, spec };
  const query = { dryRun: 'All', fieldValidation: 'Strict' };
  return client.call({ method: 'POST', path: `/api/v1/namespaces/${namespace}/pods`, query, body }, 'a pod');
}

const refusedBy = (rule: string) => ({
  code: 'forbidden',
  message: expect.stringContaining(`${rule}: `) as string,
});

// ------------------------------------------------------------------------------------------------ what is rendered

describe.each(forgeKinds)('what is rendered for %s is admitted', (kind) => {
  const slug = `held-${kind}`;
  const objects = enrollmentObjects(enrolled(kind, slug, { caBundle: 'authority' }));
  const pods = podsOf(objects);

  beforeAll(async () => {
    const portal = clusterClient(cluster.portalKubeconfigPath);
    const served = objects.filter((object) => object.kind !== 'AutoscalingRunnerSet');
    await ensureObjects(new ClusterView(portal), served, () => Promise.resolve());
  }, 60_000);
  afterAll(async () => {
    // The cluster is other tests' too, and what stays here would be tried again for ever.
    for (const object of objects.filter((each) => each.kind === 'Deployment'))
      await admin.call({ method: 'DELETE', path: objectPath(object) }, 'a deployment');
  });

  test('and is all of it', () => {
    const made: Record<ForgeKind, number> = { github: 2, gitlab: 2 + 2, forgejo: 3 };
    expect(pods.length).toBe(made[kind] + 1);
  });

  test.each(pods)('$namespace $name', async ({ namespace, pod }) => {
    await expect(tried(admin, namespace, pod)).resolves.toMatchObject({ kind: 'Pod' });
  });

  test('by the controllers of the cluster, which make the pods of Deployments', async () => {
    const wanted = objects.filter((each) => each.kind === 'Deployment');
    for (const namespace of [`runners-${slug}`, `bazel-${slug}`]) {
      const count = wanted.filter(({ metadata }) => metadata.namespace === namespace).length;
      const made = await eventually(`${count} pods in ${namespace}`, async () => {
        const path = `/api/v1/namespaces/${namespace}/pods`;
        const { items } = await admin.call<{ items: Pod[] }>({ method: 'GET', path }, 'pods');
        return items.length === count && items;
      });
      expect(made.length).toBe(count);
    }
  });

  if (kind !== 'gitlab') return;

  test('A17: GitLab’s manager makes the pods of jobs, and none like itself', async () => {
    const namespace = `runners-${slug}`;
    const manager = await accountClient(cluster.kubeconfigPath, { namespace, name: `${slug}-docker-gitlab` });
    const job = pods.find(({ name }) => name === `${slug}-docker-gitlab-job`)?.pod as Pod;
    await expect(tried(manager, namespace, job)).resolves.toMatchObject({ kind: 'Pod' });
    const like = pods.find(({ name }) => name === `${slug}-docker-gitlab`)?.pod as Pod;
    await expect(tried(admin, namespace, like)).resolves.toMatchObject({ kind: 'Pod' });
    await expect(tried(manager, namespace, like)).rejects.toMatchObject({ code: 'forbidden' });
    const asManager = { ...job, spec: { ...job.spec, serviceAccountName: `${slug}-docker-gitlab` } };
    await expect(tried(manager, namespace, asManager)).rejects.toMatchObject(refusedBy('service-account'));
  });

  test('a place for a job is made by the cluster’s controllers, below every job, and its manager makes none', async () => {
    const namespace = `runners-${slug}`;
    const input = enrolled(kind, slug, { caBundle: 'authority' });
    const [choice] = input.pools as [PoolInput];
    const held = poolObjects(input, { ...choice, minRunners: 1, holdsPlaces: true }).filter(holdsPlace);
    await ensureObjects(new ClusterView(clusterClient(cluster.portalKubeconfigPath)), held, () => Promise.resolve());
    const path = `/api/v1/namespaces/${namespace}/pods`;
    const query = { labelSelector: 'flywheel.dev/place' };
    const [pod] = await eventually('a place', async () => {
      const { items } = await admin.call<{ items: Pod[] }>({ method: 'GET', path, query }, 'pods');
      return items.length === 1 && items;
    });
    expect(pod?.spec).toMatchObject({ priorityClassName: 'flywheel-place', priority: -1, preemptionPolicy: 'Never' });
    const job = pods.find(({ name }) => name === `${slug}-docker-gitlab-job`)?.pod as Pod;
    const manager = await accountClient(cluster.kubeconfigPath, { namespace, name: `${slug}-docker-gitlab` });
    const jobs = { ...job, spec: { ...job.spec, priorityClassName: 'flywheel-place' } };
    await expect(tried(manager, namespace, jobs)).rejects.toMatchObject(refusedBy('places'));
    // In the words by which the portal knows that an operator has not applied theirs.
    const nowhere = { ...job, spec: { ...job.spec, priorityClassName: 'flywheel-nowhere' } };
    await expect(tried(admin, namespace, nowhere)).rejects.toMatchObject({
      message: expect.stringContaining('no PriorityClass with name flywheel-nowhere was found') as string,
    });
    const [deployment] = held.filter((each) => each.kind === 'Deployment') as [KubernetesObject];
    await admin.call({ method: 'DELETE', path: objectPath(deployment) }, 'a deployment');
  });
});

// ------------------------------------------------------------------------------------------------ what is not

const account = 'tried-gha-rs-no-permission';
const manager = 'tried-gitlab';
const runner = (): Pod => {
  const [made] = podsOf(enrollmentObjects(enrolled('github', 'tried')));
  const { metadata, spec } = structuredClone(made?.pod as Pod);
  return { metadata, spec: { ...spec, serviceAccountName: account } };
};
/** With users of the node's, which a pod must have that is in any of its other namespaces. */
const managing = (): Pod => {
  const [made] = podsOf(enrollmentObjects(enrolled('gitlab', 'tried', { bazel: undefined })));
  const { metadata, spec } = structuredClone(made?.pod as Pod);
  return { metadata, spec: { ...spec, serviceAccountName: manager } };
};

const place = 'tried-gitlab-place';
/** What holds a place for a job, as a ReplicaSet makes it. */
const placing = (): Pod => {
  const input = enrolled('gitlab', 'tried', { bazel: undefined });
  const pools = input.pools.map((choice) => ({ ...choice, minRunners: 1, maxRunners: 2, holdsPlaces: true }));
  const made = podsOf(enrollmentObjects({ ...input, pools })).find(({ name }) => name.endsWith('-gitlab-place'));
  const { metadata, spec } = structuredClone(made?.pod as Pod);
  return { metadata, spec: { ...spec, serviceAccountName: place } };
};

type Change = (pod: Pod) => unknown;
const whole =
  (more: object): Change =>
  ({ spec }) =>
    Object.assign(spec, more);
const container =
  (more: object): Change =>
  ({ spec }) =>
    Object.assign(spec.containers[0] ?? {}, more);
const context =
  (more: object): Change =>
  ({ spec }) => {
    const [first] = spec.containers;
    if (first) first['securityContext'] = { ...(first['securityContext'] as object), ...more };
  };
const volume =
  (source: object): Change =>
  ({ spec }) =>
    (spec['volumes'] as object[]).push({ name: 'another', ...source });
const env = (valueFrom: object) => container({ env: [{ name: 'VALUE', valueFrom }] });
const second = (more: object): Change => whole({ initContainers: [{ ...plain, ...more }] });
const without =
  (field: string): Change =>
  ({ spec }) =>
    delete spec[field];

/** A container to which every rule agrees. */
const plain = {
  name: 'second',
  image: 'docker:dind',
  imagePullPolicy: 'Always',
  resources: { limits: { cpu: '1', memory: '1Gi', 'ephemeral-storage': '1Gi' } },
  securityContext: { allowPrivilegeEscalation: false, runAsNonRoot: true, capabilities: { drop: ['ALL'] } },
};
const privileged = { privileged: true, allowPrivilegeEscalation: true };

/** Rule, what is changed of a pod that is admitted, and which pod: a runner's unless it says so. */
const overrides: [string, string, Change, (() => Pod)?][] = [
  ['privileged', 'a privileged runner', context(privileged)],
  [
    'privileged',
    'a privileged container before it',
    second({ securityContext: { ...plain.securityContext, ...privileged } }),
  ],
  ['privilege-escalation', 'escalation', context({ allowPrivilegeEscalation: true })],
  ['privilege-escalation', 'escalation by leaving it out', context({ allowPrivilegeEscalation: undefined })],
  ['capabilities', 'a capability more', context({ capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } })],
  ['capabilities', 'capabilities kept', context({ capabilities: { drop: ['NET_RAW'] } })],
  ['root', 'root', context({ runAsNonRoot: false, runAsUser: 0 })],
  ['root', 'root by the pod', whole({ securityContext: { runAsUser: 0, seccompProfile: { type: 'RuntimeDefault' } } })],
  [
    'root',
    'an image’s own user, who may be root',
    (pod) => [context({ runAsNonRoot: undefined })(pod), whole({ securityContext: {} })(pod)],
  ],
  ['seccomp', 'no seccomp', context({ seccompProfile: { type: 'Unconfined' } })],
  [
    'seccomp',
    'none by leaving it out',
    (pod) => [context({ seccompProfile: undefined })(pod), whole({ securityContext: {} })(pod)],
  ],
  ['apparmor', 'no AppArmor', context({ appArmorProfile: { type: 'Unconfined' } })],
  ['apparmor', 'none by the pod', whole({ securityContext: { appArmorProfile: { type: 'Unconfined' } } })],
  ['selinux', 'a label of its own', context({ seLinuxOptions: { type: 'spc_t' } })],
  ['selinux', 'one of the pod’s', whole({ securityContext: { seLinuxOptions: { level: 's0:c1,c2' } } })],
  [
    'sysctls',
    'a setting of the kernel',
    whole({ securityContext: { sysctls: [{ name: 'kernel.shm_rmid_forced', value: '1' }] } }),
  ],
  [
    'host-process',
    'a process of the node’s',
    whole({ hostNetwork: true, securityContext: { windowsOptions: { hostProcess: true } } }),
    managing,
  ],
  [
    'probe-hosts',
    'a probe of the metadata service',
    container({ livenessProbe: { httpGet: { host: '169.254.169.254', port: 80 } } }),
  ],
  [
    'probe-hosts',
    'a call to it after the start',
    container({ lifecycle: { postStart: { httpGet: { host: '169.254.169.254', port: 80 } } } }),
  ],
  ['proc-mount', 'the whole of /proc', context({ procMount: 'Unmasked' })],
  ['host-pid', 'the node’s processes', whole({ hostPID: true }), managing],
  ['host-ipc', 'the node’s IPC', whole({ hostIPC: true }), managing],
  ['host-network', 'the node’s network', whole({ hostNetwork: true }), managing],
  ['host-ports', 'a port of the node', container({ ports: [{ containerPort: 80, hostPort: 80 }] })],
  ['host-ports', 'a port of the node, before it', second({ ports: [{ containerPort: 80, hostPort: 80 }] })],
  ['host-users', 'the node’s users', whole({ hostUsers: true })],
  ['host-users', 'the node’s users by leaving it out', without('hostUsers')],
  ['volumes', 'the node’s files', volume({ hostPath: { path: '/' } })],
  ['volumes', 'a server’s files', volume({ nfs: { server: '10.0.0.1', path: '/' } })],
  ['volumes', 'a claim', volume({ persistentVolumeClaim: { claimName: 'another' } })],
  ['volumes', 'a driver of the node’s', volume({ csi: { driver: 'secrets-store.csi.k8s.io' } })],
  ['node-name', 'a node by name', whole({ nodeName: 'control-plane' })],
  ['placement', 'a node by its label', whole({ nodeSelector: { 'kubernetes.io/hostname': 'control-plane' } })],
  [
    'placement',
    'beside another tenant’s pod',
    whole({
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: 'kubernetes.io/hostname', namespaceSelector: {}, labelSelector: {} },
          ],
        },
      },
    }),
  ],
  ['tolerations', 'a toleration of everything', whole({ tolerations: [{ operator: 'Exists' }] })],
  [
    'tolerations',
    'a toleration of the control plane',
    whole({ tolerations: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }] }),
  ],
  ['places', 'a job that gives way as a place does', whole({ priorityClassName: 'flywheel-place' })],
  ['places', 'a place that runs another image', container({ image: 'registry.k8s.io/pause:3.10' }), placing],
  ['places', 'a place that is told what to run', container({ command: ['/pause', '-v'] }), placing],
  ['places', 'a place with something mounted', whole({ volumes: [{ name: 'any', emptyDir: {} }] }), placing],
  ['places', 'a place that gives way to nobody', without('priorityClassName'), placing],
  ['priority', 'before everything else', whole({ priorityClassName: 'system-node-critical' })],
  ['service-account', 'another’s account', whole({ serviceAccountName: 'default' })],
  ['service-account', 'the manager’s account', whole({ serviceAccountName: manager })],
  ['account-token', 'a token of the API server', whole({ automountServiceAccountToken: true })],
  ['account-token', 'a token by leaving it out', without('automountServiceAccountToken')],
  [
    'account-token',
    'a token by a volume',
    volume({ projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }),
  ],
  ['forge-credentials-in-volumes', 'the App’s key', volume({ secret: { secretName: 'acme-github' } })],
  [
    'forge-credentials-in-volumes',
    'the App’s key, projected',
    volume({ projected: { sources: [{ secret: { name: 'acme-github' } }] } }),
  ],
  ['forge-credentials-in-volumes', 'the manager’s token', volume({ secret: { secretName: 'acme-docker-gitlab' } })],
  [
    'forge-credentials-in-environment',
    'the App’s key as a variable',
    env({ secretKeyRef: { name: 'acme-github', key: 'github_app_private_key' } }),
  ],
  [
    'forge-credentials-in-environment',
    'the App’s key as variables',
    container({ envFrom: [{ secretRef: { name: 'acme-github' } }] }),
  ],
  ['node-identity', 'the node’s name', env({ fieldRef: { fieldPath: 'spec.nodeName' } })],
  ['node-identity', 'the node’s address', env({ fieldRef: { fieldPath: 'status.hostIP' } })],
  ['runtime-class', 'a runtime of its own', whole({ runtimeClassName: 'tried' })],
  ['image-pull-policy', 'the node’s copy of an image', container({ imagePullPolicy: 'IfNotPresent' })],
  ['image-pull-policy', 'the node’s copy, before it', second({ imagePullPolicy: 'Never' })],
  ['limits', 'no limits', container({ resources: {} })],
  ['limits', 'no limit of memory', container({ resources: { limits: { cpu: '1', 'ephemeral-storage': '1Gi' } } })],
  ['deadline', 'a runner for ever', without('activeDeadlineSeconds')],
];

/** Namespaces that bear none of Pod Security's labels: what is refused there, the policy refuses. */
const bare = 'pods-unheld';
const onlyLabel = 'flywheel.test/only';
const only = (rule: string) => `pods-${rule}`;

async function namespaceFor(
  name: string,
  labels: Record<string, string>,
  annotations: Record<string, string> = {},
): Promise<void> {
  await applyObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels, annotations } });
  for (const each of [account, manager, place, 'default'])
    await applyObject(admin, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: each, namespace: name } });
}

async function runtimeClass(name: string): Promise<void> {
  const body = { apiVersion: 'node.k8s.io/v1', kind: 'RuntimeClass', metadata: { name }, handler: name };
  const path = '/apis/node.k8s.io/v1/runtimeclasses';
  await admin.call({ method: 'POST', path, body }, 'a runtime class').catch(() => undefined);
}

const changed = (change: Change, pod: () => Pod = runner) => {
  const made = pod();
  change(made);
  return made;
};

describe('A17: each rule of the policy', () => {
  const policies = runnerPodRules.flatMap((rule) =>
    runnerPodsObjects([rule], only(rule.name), { matchLabels: { [onlyLabel]: rule.name } }),
  );

  beforeAll(async () => {
    await namespaceFor(bare, {});
    await inParallel(runnerPodRules, ({ name }) => namespaceFor(only(name), { [onlyLabel]: name }));
    await inParallel(policies, async (policy) => void (await applyObject(admin, policy)));
    await runtimeClass('tried');
  }, 120_000);
  afterAll(async () => {
    await inParallel(policies, async (policy) => {
      await admin.call({ method: 'DELETE', path: objectPath(policy) }, 'a policy');
    });
  });

  test('has an override that it refuses', () => {
    const later = ['ephemeral-containers'];
    expect(new Set([...overrides.map(([rule]) => rule), ...later])).toEqual(
      new Set(runnerPodRules.map(({ name }) => name)),
    );
  });

  test.each(overrides)('%s: %s is refused by it alone, and by nothing without it', async (rule, _, change, pod) => {
    const bad = changed(change, pod);
    await expect(tried(admin, bare, bad)).resolves.toMatchObject({ kind: 'Pod' });
    // A policy takes effect some moments after it is there.
    await eventually(`the rule ${rule}`, () =>
      tried(admin, only(rule), bad).then(
        () => false,
        () => true,
      ),
    );
    await expect(tried(admin, only(rule), bad)).rejects.toMatchObject(refusedBy(rule));
    await expect(tried(admin, only(rule), (pod ?? runner)())).resolves.toMatchObject({ kind: 'Pod' });
  });

  test('runtime-class: where the namespace names one, a pod without it is refused', async () => {
    const rule = 'runtime-class';
    const name = `${only(rule)}-named`;
    await namespaceFor(name, { [onlyLabel]: rule }, { [runtimeClassesAnnotation]: 'tried' });
    const inClass = changed(whole({ runtimeClassName: 'tried' }));
    await eventually('the rule', () =>
      tried(admin, name, runner()).then(
        () => false,
        () => true,
      ),
    );
    await expect(tried(admin, name, runner())).rejects.toMatchObject(refusedBy(rule));
    await expect(tried(admin, name, inClass)).resolves.toMatchObject({ kind: 'Pod' });
  });

  test('tolerations: of a taint that the namespace names, and of no other', async () => {
    const rule = 'tolerations';
    const name = `${only(rule)}-named`;
    await namespaceFor(name, { [onlyLabel]: rule }, { [tolerationsAnnotation]: 'flywheel.dev/class,dedicated' });
    const tolerating = (key: string) => changed(whole({ tolerations: [{ key, operator: 'Exists' }] }));
    await eventually('the rule', () =>
      tried(admin, name, tolerating('other')).then(
        () => false,
        () => true,
      ),
    );
    for (const key of ['flywheel.dev/class', 'dedicated'])
      await expect(tried(admin, name, tolerating(key))).resolves.toMatchObject({ kind: 'Pod' });
    const all = changed(whole({ tolerations: [{ operator: 'Exists' }] }));
    for (const pod of [all, tolerating('class')])
      await expect(tried(admin, name, pod)).rejects.toMatchObject(refusedBy(rule));
  });

  test.each([sandboxesAnnotation, virtualMachinesAnnotation])(
    'host-users: not in a runtime class that the namespace’s %s names, and in any other',
    async (annotation) => {
      const rule = 'host-users';
      const name = `${only(rule)}-${annotation.split('/').at(-1)}`;
      await namespaceFor(name, { [onlyLabel]: rule }, { [annotation]: 'another,tried' });
      const plainly = changed(without('hostUsers'));
      const inClass = changed(({ spec }) => {
        delete spec['hostUsers'];
        Object.assign(spec, { runtimeClassName: 'tried' });
      });
      await eventually('the rule', () =>
        tried(admin, name, plainly).then(
          () => false,
          () => true,
        ),
      );
      await expect(tried(admin, name, plainly)).rejects.toMatchObject(refusedBy(rule));
      await expect(tried(admin, only(rule), inClass)).rejects.toMatchObject(refusedBy(rule));
      await expect(tried(admin, name, inClass)).resolves.toMatchObject({ kind: 'Pod' });
    },
  );

  test('ephemeral-containers: none is added to a pod that runs', async () => {
    const rule = 'ephemeral-containers';
    const add = async (namespace: string) => {
      const name = `runs-${Math.random().toString(36).slice(2, 8)}`;
      const path = `/api/v1/namespaces/${namespace}/pods`;
      const { metadata, spec } = runner();
      const body = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name }, spec };
      await admin.call({ method: 'POST', path, body }, 'a pod');
      const patch = { spec: { ephemeralContainers: [{ name: 'debugger', image: 'busybox' }] } };
      return admin.call(
        {
          method: 'PATCH',
          path: `${path}/${name}/ephemeralcontainers`,
          contentType: 'application/strategic-merge-patch+json',
          body: patch,
        },
        'an ephemeral container',
      );
    };
    await expect(add(bare)).resolves.toMatchObject({ kind: 'Pod' });
    await eventually('the rule', () =>
      add(only(rule)).then(
        () => false,
        () => true,
      ),
    );
    await expect(add(only(rule))).rejects.toMatchObject(refusedBy(rule));
  });
});

/** The same pools, in a runtime that gives each pod a kernel of its own. */
const sandboxed = (kind: ForgeKind) =>
  enrolled(kind, 'tried').pools.map((choice) => ({
    ...choice,
    pool: { ...choice.pool, placement: { runtimeClass: 'gvisor', kernel: 'sandbox' as const } },
  }));

describe('A17: in a tenant’s own namespace, all rules together', () => {
  const slug = 'held-together';
  const namespace = `runners-${slug}`;

  beforeAll(async () => {
    const portal = clusterClient(cluster.portalKubeconfigPath);
    const input = enrolled('github', slug);
    const placement = placementOf([...input.pools, ...sandboxed('github')].map(({ pool }) => pool));
    const objects = enrollmentObjects({ ...input, tenant: { ...input.tenant, placement } });
    await runtimeClass('gvisor');
    await ensureObjects(
      new ClusterView(portal),
      objects.filter(({ kind }) => kind !== 'AutoscalingRunnerSet'),
      () => Promise.resolve(),
    );
    for (const name of [account, manager, place])
      await applyObject(admin, { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } });
  }, 60_000);

  test.each(forgeKinds)('a runner of %s in a sandbox has no user namespace, and is admitted', async (kind) => {
    const pods = podsOf(enrollmentObjects(enrolled(kind, 'tried', { pools: sandboxed(kind), bazel: undefined })));
    const job = pods.map(({ pod }) => pod).find(({ spec }) => spec['runtimeClassName'] === 'gvisor');
    expect(job?.spec).not.toHaveProperty('hostUsers');
    const spec = { ...(job as Pod).spec, serviceAccountName: account };
    await expect(tried(admin, namespace, { ...(job as Pod), spec })).resolves.toMatchObject({ kind: 'Pod' });
    const elsewhere = { ...(job as Pod), spec: { ...spec, runtimeClassName: undefined } };
    await expect(tried(admin, namespace, elsewhere)).rejects.toMatchObject(refusedBy('host-users'));
  });

  // LimitRange gives limits to what has none, and so there is nothing to refuse.
  const refused = overrides.filter(([rule]) => rule !== 'limits');
  test.each(refused)('%s: %s is refused', async (_, __, change, pod) => {
    await expect(tried(admin, namespace, changed(change, pod))).rejects.toMatchObject({ code: 'forbidden' });
  });

  test('MTB-PL1-CC-DI-1: an image that is not pulled anew is refused there by the policy, and by nothing else', async () => {
    const bad = changed(container({ imagePullPolicy: 'IfNotPresent' }));
    await expect(tried(admin, namespace, bad)).rejects.toMatchObject(refusedBy('image-pull-policy'));
  });

  const patchPod = (name: string, patch: object) =>
    admin.call(
      {
        method: 'PATCH',
        path: `/api/v1/namespaces/${namespace}/pods/${name}`,
        contentType: 'application/merge-patch+json',
        body: patch,
      },
      'a pod',
    );

  test('and so is what would come to that by a change', async () => {
    const { metadata, spec } = runner();
    const body = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'runs' }, spec };
    const made = await admin.call<{ spec: { tolerations: object[] } }>(
      { method: 'POST', path: `/api/v1/namespaces/${namespace}/pods`, body },
      'a pod',
    );
    const tolerations = [...made.spec.tolerations, { operator: 'Exists' }];
    await expect(patchPod('runs', { spec: { tolerations } })).rejects.toMatchObject(refusedBy('tolerations'));
    await expect(patchPod('runs', { metadata: { labels: { any: 'label' } } })).resolves.toMatchObject({ kind: 'Pod' });
  });

  test('a pod from before the policy can still be changed but for its spec, so that it can go', async () => {
    // Made in a namespace that becomes a tenant's later.
    const before = 'pods-before';
    await namespaceFor(before, {});
    const { metadata, spec } = changed(container({ imagePullPolicy: 'IfNotPresent' }));
    const path = `/api/v1/namespaces/${before}/pods`;
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { ...metadata, name: 'old', finalizers: ['test/old'] },
      spec,
    };
    await admin.call({ method: 'POST', path, body }, 'a pod');
    const labels = { 'app.kubernetes.io/managed-by': 'flywheel', 'flywheel.dev/tenant': 'before' };
    await applyObject(admin, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: before, labels } });
    await eventually('the policy there', () =>
      tried(admin, before, { metadata, spec }).then(
        () => false,
        () => true,
      ),
    );
    const freed = admin.call(
      {
        method: 'PATCH',
        path: `${path}/old`,
        contentType: 'application/merge-patch+json',
        body: { metadata: { finalizers: null } },
      },
      'a pod',
    );
    await expect(freed).resolves.toMatchObject({ kind: 'Pod' });
  });
});

// ------------------------------------------------------------------------------------------------ by our own validator

/** The one thing that a person writes and that becomes a pod. */
const document = `
apiVersion: flywheel/v1
kind: Enrollment
metadata: { name: acme, tenant: acme }
spec:
  scope: { forge: "https://github.com", level: organization, path: acme }
  credentials: { appId: "12345", installationId: 67890 }
  pools: [{ pool: docker, maxRunners: 4 }]
`;

describe('A17: in a document', () => {
  type Parsed = { spec: { pools: Record<string, unknown>[] } & Record<string, unknown> };
  const parsed = () => parseDocument(document).toJS() as Parsed;

  test('as it is, nothing is wrong', () => expect(EnrollmentDocument.safeParse(parsed()).success).toBe(true));

  test.each(overrides)('%s: %s has no place, neither in a pool nor beside it', (_, __, change, pod) => {
    const template = changed(change, pod);
    const [inPool, beside, bySpec] = [parsed(), parsed(), parsed()];
    Object.assign(inPool.spec.pools[0] ?? {}, { template });
    Object.assign(beside.spec, { template });
    Object.assign(bySpec.spec.pools[0] ?? {}, template.spec);
    for (const each of [inPool, beside, bySpec])
      expect(EnrollmentDocument.safeParse(each).error?.issues[0]?.code).toBe('unrecognized_keys');
  });
});
