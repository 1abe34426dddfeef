import { beforeAll, describe, expect, test } from 'vitest';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { podsOf, type Pod } from '#sandbox/test-support/pods.ts';
import {
  accountsOf,
  arc,
  clientsOf,
  discovered,
  enrolAtAll,
  may,
  objectsAtAll,
  type Resource,
} from '#sandbox/test-support/tenants.ts';
import { cpuMillicores, memoryBytes } from '#lib/model/index.ts';
import { groupPath, objectPath } from './client.ts';
import type { ClusterClient, KubernetesObject } from './index.ts';

/*
 * The 19 checks of the multi-tenancy benchmark (kubernetes-retired/multi-tenancy, benchmarks/kubectl-mtb; two of them bear one
 * id), as a tenant: with the service accounts that live in its namespaces, of an enrollment at all three forges, and with what
 * acts there for it, GitLab's manager and ARC's. The benchmark's tenant administers its namespace; ours is given none of it, so
 * what a pod may be is asked as the two that may make pods.
 */

const slug = 'mtb';
const runners = `runners-${slug}`;
const other = { slug: 'mtb-other', runners: 'runners-mtb-other' };

let admin: ClusterClient;
let portal: ClusterClient;
let objects: KubernetesObject[];
let resources: Resource[];
/** What runs jobs or a cache: accounts that may nothing. */
let jobs: Record<string, ClusterClient>;
let managers: Record<string, ClusterClient>;
let all: Record<string, ClusterClient>;

beforeAll(async () => {
  const cluster = await testCluster();
  admin = clusterClient(cluster.kubeconfigPath);
  portal = clusterClient(cluster.portalKubeconfigPath);
  objects = await enrolAtAll(cluster, slug);
  await enrolAtAll(cluster, other.slug);
  resources = await discovered(admin);
  const { 'a GitLab manager': manager, ...rest } = accountsOf(slug);
  jobs = await clientsOf(cluster, rest);
  managers = await clientsOf(cluster, {
    'GitLab’s manager': manager as NonNullable<typeof manager>,
    'ARC’s manager': { namespace: arc.namespace, name: arc.serviceAccount },
  });
  all = { ...jobs, ...managers };
}, 180_000);

type Attempt = Promise<'done' | { code: string; message: string }>;

/** What comes of it, in the API server's own words. */
function attempt(call: Promise<unknown>): Attempt {
  return call.then(
    () => 'done' as const,
    (error: { code: string; message: string }) => ({ code: error.code, message: error.message }),
  );
}

const dryRun = { dryRun: 'All', fieldValidation: 'Strict' };

function create(client: ClusterClient, path: string, body: object): Attempt {
  return attempt(client.call({ method: 'POST', path, query: dryRun, body }, 'an object'));
}

function createPod(client: ClusterClient, { metadata, spec }: Pod): Attempt {
  const body = { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name: 'tried' }, spec };
  return create(client, `/api/v1/namespaces/${runners}/pods`, body);
}

const job = (): Pod => {
  const made = podsOf(objectsAtAll(slug)).find(({ name }) => name === `${slug}-docker-gitlab-job`);
  return structuredClone(made?.pod as Pod);
};
const whole = (more: object): Pod => {
  const { metadata, spec } = job();
  return { metadata, spec: { ...spec, ...more } };
};
const container = (more: object): Pod => {
  const pod = job();
  Object.assign(pod.spec.containers[0] ?? {}, more);
  return pod;
};
const context = (more: object): Pod => {
  const pod = job();
  const [first] = pod.spec.containers;
  if (first) first['securityContext'] = { ...(first['securityContext'] as object), ...more };
  return pod;
};

/** What comes of it, by who makes it. */
async function answersTo(pod: Pod): Promise<Record<string, unknown>> {
  const answers = Object.entries(all).map(async ([who, client]) => [who, await createPod(client, pod)] as const);
  return Object.fromEntries(await Promise.all(answers));
}

/** Refused to whoever may make pods, for what it is; and to everybody else because they may not. */
function refused(why: RegExp): Record<string, unknown> {
  const forbidden = (message: unknown) => ({ code: 'forbidden', message });
  const mayNot = forbidden(expect.stringContaining('cannot create resource "pods"'));
  return {
    ...Object.fromEntries(Object.keys(jobs).map((who) => [who, mayNot])),
    ...Object.fromEntries(Object.keys(managers).map((who) => [who, forbidden(expect.stringMatching(why))])),
  };
}

test('what is refused below is refused for what is changed: as it is rendered, a job’s pod is made by who may', async () => {
  expect(await answersTo(job())).toEqual({ ...refused(/./), 'GitLab’s manager': 'done', 'ARC’s manager': 'done' });
});

/** The resources of which one may do one of these verbs there, over all accounts. */
async function allowed(
  clients: Record<string, ClusterClient>,
  asked: readonly Resource[],
  verbs: readonly string[],
  namespace?: string,
): Promise<string[]> {
  const found: string[] = [];
  for (const [who, client] of Object.entries(clients))
    for (const { group, resource, subresource } of asked) {
      const each = { group, resource, ...(subresource ? { subresource } : {}), ...(namespace ? { namespace } : {}) };
      const answers = await Promise.all(verbs.map((verb) => may(client, { verb, ...each })));
      found.push(
        ...verbs
          .filter((_, index) => answers[index])
          .map((verb) => `${who}: ${verb} ${resource}${subresource ? `/${subresource}` : ''}`),
      );
    }
  return found;
}

const changing = ['create', 'update', 'patch', 'delete', 'deletecollection'];
const every = ['get', 'list', 'watch', ...changing];

describe('control plane isolation', () => {
  test('MTB-PL1-CC-CPI-1: Block access to cluster resources', async () => {
    // Asking what oneself may is open to everybody who is somebody (system:basic-user).
    const ofAll = new Set(['selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'selfsubjectreviews']);
    // Certificates of authorities, which every service account may read and none may change (cluster-trust-bundle-discovery).
    const published = ['get', 'list', 'watch'].map((verb) => `${verb} clustertrustbundles`);
    const ofCluster = resources.filter((each) => !each.namespaced && !ofAll.has(each.resource));
    expect(ofCluster.length).toBeGreaterThan(20);
    const found = await allowed(all, ofCluster, every);
    expect(found.filter((each) => !published.some((read) => each.endsWith(`: ${read}`)))).toEqual([]);
  }, 120_000);

  test('MTB-PL1-BC-CPI-2: Block Multitenant Resources', async () => {
    const ours = objects.filter(({ kind }) => kind !== 'Namespace');
    const change = { metadata: { labels: { changed: 'yes' } } };
    const changed: string[] = [];
    for (const [who, client] of Object.entries(all))
      for (const object of ours) {
        const path = objectPath(object);
        const contentType = 'application/merge-patch+json';
        const done = await Promise.all([
          attempt(client.call({ method: 'DELETE', path, query: { dryRun: 'All' } }, 'it')),
          attempt(client.call({ method: 'PATCH', path, query: { dryRun: 'All' }, contentType, body: change }, 'it')),
        ]);
        if (done.includes('done')) changed.push(`${who}: ${object.kind}`);
      }
    // What acts for the tenant: ARC keeps its own Secrets, accounts and roles beside ours, by rights that have no names
    // (gha-runner-scale-set 0.14.2), and GitLab's executor its jobs'. Neither reaches quota, limits, policies or processes.
    expect([...new Set(changed)].toSorted()).toEqual([
      'ARC’s manager: Role',
      'ARC’s manager: RoleBinding',
      'ARC’s manager: Secret',
      'ARC’s manager: ServiceAccount',
      'GitLab’s manager: Secret',
    ]);
  }, 120_000);

  test('MTB-PL1-BC-CPI-3: Block add capabilities', async () =>
    expect(await answersTo(context({ capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } }))).toEqual(
      refused(/violates PodSecurity|capabilities: /),
    ));

  test('MTB-PL1-BC-CPI-4: Require run as non-root user', async () => {
    expect(await answersTo(context({ runAsNonRoot: false }))).toEqual(refused(/violates PodSecurity|root: /));
    expect(await answersTo(context({ runAsUser: 0 }))).toEqual(refused(/violates PodSecurity|root: /));
  });

  test('MTB-PL1-BC-CPI-5: Block privileged containers', async () =>
    expect(await answersTo(context({ privileged: true, allowPrivilegeEscalation: true }))).toEqual(
      refused(/violates PodSecurity|privileged: /),
    ));

  test('MTB-PL1-BC-CPI-6: Block privilege escalation', async () =>
    expect(await answersTo(context({ allowPrivilegeEscalation: true }))).toEqual(
      refused(/violates PodSecurity|privilege-escalation: /),
    ));
});

describe('data isolation', () => {
  test('MTB-PL1-CC-DI-1: Require always imagePullPolicy', async () => {
    for (const imagePullPolicy of ['IfNotPresent', 'Never'])
      expect(await answersTo(container({ imagePullPolicy }))).toEqual(refused(/image-pull-policy: /));
  });
});

describe('fairness', () => {
  const named = (kind: string, namespace: string) =>
    portal.call<KubernetesObject & { spec: { hard: Record<string, string> } }>(
      { method: 'GET', path: objectPath({ apiVersion: 'v1', kind, metadata: { name: 'flywheel', namespace } }) },
      kind,
    );

  // The benchmark has the tenant read its quota itself. Ours reads it on the portal, and its runners need not know it.
  test('MTB-PL1-CC-FNS-1: Configure namespace resource quotas', async () => {
    const { hard } = (await named('ResourceQuota', runners)).spec;
    for (const bound of ['requests', 'limits']) {
      expect(cpuMillicores(hard[`${bound}.cpu`] ?? '')).toBe(16_400n);
      expect(memoryBytes(hard[`${bound}.memory`] ?? '')).toBe(memoryBytes('33280Mi'));
      expect(memoryBytes(hard[`${bound}.ephemeral-storage`] ?? '')).toBe(memoryBytes('256512Mi'));
    }
    const cache = (await named('ResourceQuota', `bazel-${slug}`)).spec.hard;
    expect(cache).toMatchObject({ 'limits.cpu': '4', 'limits.memory': '4Gi', 'limits.ephemeral-storage': '2Gi' });
    const large = { limits: { cpu: '17', memory: '1Gi', 'ephemeral-storage': '1Gi' } };
    expect(await answersTo(container({ resources: large }))).toEqual(
      refused(/maximum cpu usage per Container|exceeded quota/),
    );
    const stored = { limits: { cpu: '1', memory: '1Gi', 'ephemeral-storage': '1Ti' } };
    expect(await answersTo(container({ resources: stored }))).toEqual(refused(/exceeded quota: flywheel/));
  });

  test('MTB-PL1-CC-FNS-2: Configure namespace object limits', async () => {
    const counted = ['pods', 'services', 'replicationcontrollers', 'resourcequotas', 'secrets', 'configmaps'].concat([
      'persistentvolumeclaims',
      'services.nodeports',
      'services.loadbalancers',
    ]);
    for (const namespace of [runners, `bazel-${slug}`])
      expect(Object.keys((await named('ResourceQuota', namespace)).spec.hard)).toEqual(expect.arrayContaining(counted));
    // By whom nothing else stops: the administrator of the cluster.
    const metadata = { name: 'tried' };
    const spec = { ports: [{ port: 80 }] };
    expect(
      await create(admin, `/api/v1/namespaces/${runners}/services`, {
        apiVersion: 'v1',
        kind: 'Service',
        metadata,
        spec,
      }),
    ).toMatchObject({ message: expect.stringContaining('exceeded quota: flywheel') as string });
  });
});

describe('host isolation', () => {
  test('MTB-PL1-BC-HI-1: Block use of host path volumes', async () =>
    expect(
      await answersTo(
        whole({ volumes: [...(job().spec['volumes'] as object[]), { name: 'host', hostPath: { path: '/' } }] }),
      ),
    ).toEqual(refused(/hostPath/)));

  test('MTB-PL1-BC-HI-1 (sic): Block use of NodePort services', async () => {
    const metadata = { name: 'way-in' };
    const spec = { type: 'NodePort', ports: [{ port: 80 }] };
    const service = { apiVersion: 'v1', kind: 'Service', metadata, spec };
    for (const namespace of [runners, `bazel-${slug}`]) {
      const path = `/api/v1/namespaces/${namespace}/services`;
      for (const client of Object.values(all))
        expect(await create(client, path, service)).toMatchObject({
          message: expect.stringContaining('cannot create resource "services"') as string,
        });
      // The portal may make services; the quota lets nobody have one of this kind.
      expect(await create(portal, path, service)).toMatchObject({
        message: expect.stringContaining('exceeded quota: flywheel') as string,
      });
    }
  });

  test('MTB-PL1-BC-HI-3: Block use of host networking and ports', async () => {
    expect(await answersTo(whole({ hostUsers: true, hostNetwork: true }))).toEqual(
      refused(/hostNetwork|host-network: /),
    );
    expect(await answersTo(container({ ports: [{ containerPort: 80, hostPort: 80 }] }))).toEqual(
      refused(/hostPort|host-ports: /),
    );
  });

  test('MTB-PL1-BC-HI-4: Block use of host PID', async () =>
    expect(await answersTo(whole({ hostUsers: true, hostPID: true }))).toEqual(refused(/hostPID|host-pid: /)));

  test('MTB-PL1-BC-HI-5: Block use of host IPC', async () =>
    expect(await answersTo(whole({ hostUsers: true, hostIPC: true }))).toEqual(refused(/hostIPC|host-ipc: /)));
});

describe('tenant isolation', () => {
  test('MTB-PL1-CC-TI-1: Block modification of resource quotas', async () => {
    const quotas = [{ group: '', resource: 'resourcequotas', namespaced: true, verbs: [] }];
    expect(await allowed(all, quotas, changing, runners)).toEqual([]);
    for (const client of Object.values(all))
      expect(
        await attempt(
          client.call(
            {
              method: 'PATCH',
              path: `/api/v1/namespaces/${runners}/resourcequotas/flywheel`,
              contentType: 'application/merge-patch+json',
              body: { spec: { hard: { pods: '1000' } } },
            },
            'the quota',
          ),
        ),
      ).toMatchObject({ code: 'forbidden' });
  });

  test('MTB-PL1-CC-TI-2: Block access to other tenant resources', async () => {
    const namespaced = resources.filter((each) => each.namespaced);
    expect(namespaced.length).toBeGreaterThan(40);
    // ARC's manager is the whole cluster's and serves each tenant by that tenant's own Role, so it is no tenant's account.
    const { 'ARC’s manager': _, ...own } = all;
    expect(await allowed(own, namespaced, ['get', 'list', 'create', 'update', 'delete'], other.runners)).toEqual([]);
    for (const client of Object.values(own))
      expect(
        await attempt(client.call({ method: 'GET', path: `/api/v1/namespaces/${other.runners}/secrets` }, 'secrets')),
      ).toMatchObject({ code: 'forbidden' });
  }, 120_000);

  test('MTB-PL2-CC-TI-1: Block role privilege escalation', async () => {
    const group = 'rbac.authorization.k8s.io';
    for (const client of Object.values(all)) {
      const asked = [
        { verb: 'escalate', resource: 'roles', namespace: runners },
        { verb: 'bind', resource: 'roles', namespace: runners },
        { verb: 'escalate', resource: 'clusterroles' },
        { verb: 'bind', resource: 'clusterroles', name: 'cluster-admin' },
        { verb: 'bind', resource: 'clusterroles', name: 'cluster-admin', namespace: runners },
      ];
      for (const each of asked) expect(await may(client, { group, ...each })).toBe(false);
      expect(await may(client, { verb: 'impersonate', resource: 'serviceaccounts', namespace: runners })).toBe(false);
      expect(
        await may(client, { verb: 'create', resource: 'serviceaccounts', subresource: 'token', namespace: runners }),
      ).toBe(false);
    }
  });
});

// ------------------------------------------------------------------------------------------------ self-service

const rbacPath = `${groupPath('rbac.authorization.k8s.io/v1')}/namespaces/${runners}`;

describe('self-service: not given, on purpose', () => {
  // Who may do what in a tenant's namespace is what its forge says of its people, and the portal renders it. A Role made beside
  // that would stand when the portal has taken everything else back.
  test('MTB-PL2-BC-OPS-3: Create Role Bindings: is refused, and to ARC’s manager what is more than its own', async () => {
    const subjects = [{ kind: 'ServiceAccount', name: 'default', namespace: runners }];
    const roleRef = (kind: string, name: string) => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });
    const binding = (ref: object) => ({ metadata: { name: 'tried' }, roleRef: ref, subjects });
    for (const client of [...Object.values(jobs), managers['GitLab’s manager'] as ClusterClient])
      expect(
        await create(client, `${rbacPath}/rolebindings`, binding(roleRef('Role', `${slug}-docker-gitlab`))),
      ).toMatchObject({ message: expect.stringContaining('cannot create resource "rolebindings"') as string });
    const arcs = managers['ARC’s manager'] as ClusterClient;
    for (const ref of [roleRef('ClusterRole', 'cluster-admin'), roleRef('Role', `${slug}-docker-gitlab`)])
      expect(await create(arcs, `${rbacPath}/rolebindings`, binding(ref))).toMatchObject({
        message: expect.stringContaining('attempting to grant RBAC permissions not currently held') as string,
      });
    const rules = [{ apiGroups: [''], resources: ['pods/exec'], verbs: ['create'] }];
    expect(await create(arcs, `${rbacPath}/roles`, { metadata: { name: 'tried' }, rules })).toMatchObject({
      message: expect.stringContaining('attempting to grant RBAC permissions not currently held') as string,
    });
  });

  // Policies are a union of what each allows: one that a tenant made would open what the portal's close (isolation.test.ts
  // shows it), so they are the portal's alone, and what a tenant needs beside them its operator enters.
  test('MTB-PL2-BC-OPS-4: Create Network Policies: is refused', async () => {
    const spec = { podSelector: {}, policyTypes: ['Egress'], egress: [{}] };
    const path = `${groupPath('networking.k8s.io/v1')}/namespaces/${runners}/networkpolicies`;
    for (const client of Object.values(all)) {
      expect(await create(client, path, { metadata: { name: 'tried' }, spec })).toMatchObject({
        message: expect.stringContaining('cannot create resource "networkpolicies"') as string,
      });
      for (const verb of changing)
        expect(
          await may(client, { verb, group: 'networking.k8s.io', resource: 'networkpolicies', namespace: runners }),
        ).toBe(false);
    }
  });
});
