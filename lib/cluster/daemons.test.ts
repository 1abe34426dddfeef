import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { cpuMillicores, memoryBytes, namespacesOf } from '#lib/model/index.ts';
import { podsOf, type Container, type MadePod } from '#sandbox/test-support/pods.ts';
import { daemonOf, partsOf } from './daemons.ts';
import { daemonPools, enrolled, enrolledApart, forgeKinds } from './fixtures/tenants.ts';
import { enrollmentObjects, placementOf, redacted, type EnrollmentInput, type KubernetesObject } from './manifests.ts';
import { isAllowed, networkOf, type Flow } from './network-policy.ts';

/* Pools of the classes `builds` and `dind`: where they are, what is beside their runners, and what of it is let off. */

const slug = 'acme';
const { runners, dind } = namespacesOf(slug);

const within = (objects: readonly KubernetesObject[], namespace: string) =>
  objects.filter(({ metadata }) => (metadata.namespace ?? metadata.name) === namespace);
const named = (objects: readonly KubernetesObject[]) => objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`);

test.each(forgeKinds)('what %s has in the second namespace is that of fixtures/daemons-%s.yaml', async (kind) => {
  const objects = within(enrollmentObjects(enrolledApart(kind, slug)), dind);
  const documents = objects.map((object) =>
    stringify(redacted(object), { aliasDuplicateObjects: false, singleQuote: true }),
  );
  await expect(documents.join('---\n')).toMatchFileSnapshot(`fixtures/daemons-${kind}.yaml`);
});

describe.each(forgeKinds)('at %s', (kind) => {
  const objects = enrollmentObjects(enrolledApart(kind, slug));
  const pods = podsOf(objects).filter(({ namespace, name }) => namespace === dind && isOfJobs(name));

  test('each pool is in the namespace of its class, with all that is its own', () => {
    const of = (namespace: string) =>
      within(objects, namespace).flatMap(({ metadata }) => metadata.labels?.['flywheel.dev/pool'] ?? []);
    expect([...new Set(of(runners))]).toEqual(['docker']);
    expect([...new Set(of(dind))]).toEqual(['images', 'machines']);
  });

  test('both namespaces have the same fences, and nobody reaches the one from the other', () => {
    const policies = (namespace: string) =>
      within(objects, namespace)
        .filter((each) => each.kind === 'NetworkPolicy' && each.metadata.labels?.['flywheel.dev/pool'] === undefined)
        .map(({ metadata, spec }) => [metadata.name, spec]);
    expect(policies(dind)).toEqual(policies(runners));
    expect(policies(dind).length).toBe(5);
    const [range] = within(objects, dind).filter((each) => each.kind === 'LimitRange');
    expect(range?.['spec']).toMatchObject({ limits: [{ max: { cpu: '12', memory: '24Gi' } }] });
  });

  test('a pod is as large as its pool says, daemon and runner together', () => {
    expect(pods.length).toBe({ github: 2, gitlab: 2, forgejo: 3 }[kind]);
    for (const { pod } of pods) {
      const total = sizeOf(pod);
      expect([
        total('cpu', cpuMillicores),
        total('memory', memoryBytes),
        total('ephemeral-storage', memoryBytes),
      ]).toEqual([4000n, memoryBytes('8Gi'), memoryBytes('20Gi')]);
    }
  });

  test('the daemon alone deviates from what every container is held to', () => {
    for (const { pod } of pods) {
      const daemons = sidecarsOf(pod);
      expect(daemons.map(({ name }) => name)).toEqual([isMachine(pod) ? 'dockerd' : 'buildkitd']);
      const others = [...pod.spec.containers, ...initsOf(pod)].filter((each) => !daemons.includes(each));
      for (const { securityContext } of others as unknown as { securityContext: Record<string, unknown> }[]) {
        expect(securityContext).toMatchObject({ privileged: false, allowPrivilegeEscalation: false });
        expect(securityContext['capabilities']).toMatchObject({ drop: expect.arrayContaining(['ALL']) as string[] });
        expect(securityContext['capabilities']).not.toHaveProperty('add');
      }
    }
  });

  test('BuildKit is another user, privileged in nothing, among users of its pod’s own', () => {
    const [found] = pods.filter(({ pod }) => !isMachine(pod));
    expect(found?.pod.spec).toMatchObject({ hostUsers: false, securityContext: { supplementalGroups: [1000] } });
    expect(found?.pod.spec['securityContext']).not.toHaveProperty('fsGroup');
    expect(sidecarsOf(found?.pod)[0]?.['securityContext']).toEqual({
      privileged: false,
      allowPrivilegeEscalation: true,
      runAsNonRoot: true,
      runAsUser: 1000,
      runAsGroup: 1000,
      capabilities: { drop: ['ALL'], add: ['SETGID', 'SETUID'] },
      seccompProfile: { type: 'Unconfined' },
      appArmorProfile: { type: 'Unconfined' },
    });
  });

  test('Docker is root of a virtual machine on nodes of its own, and no user of the node’s is mapped for it', () => {
    const [found] = pods.filter(({ pod }) => isMachine(pod));
    expect(found?.pod.spec).toMatchObject({
      runtimeClassName: 'kata',
      nodeSelector: { 'flywheel.dev/class': 'dind' },
      tolerations: [{ key: 'flywheel.dev/class', operator: 'Equal', value: 'dind', effect: 'NoSchedule' }],
    });
    expect(found?.pod.spec).not.toHaveProperty('hostUsers');
    expect(sidecarsOf(found?.pod)[0]?.['securityContext']).toMatchObject({ privileged: true, runAsUser: 0 });
  });

  test('what jobs are told is the daemon’s socket, which both mount, and what a container mounts is at one path', () => {
    for (const { pod } of pods) {
      const text = JSON.stringify(kind === 'gitlab' ? gitlabToml(objects, pod) : pod.spec.containers);
      expect(text).toContain(
        isMachine(pod) ? 'unix:///flywheel/daemon/docker.sock' : 'unix:///flywheel/daemon/buildkitd.sock',
      );
      expect(text).toContain(isMachine(pod) ? 'DOCKER_HOST' : 'BUILDKIT_HOST');
      const [runner] = pod.spec.containers;
      const [daemon] = sidecarsOf(pod);
      expect(mountsOf(runner)).toMatchObject({ daemon: '/flywheel/daemon' });
      expect(mountsOf(daemon)).toMatchObject({ daemon: '/flywheel/daemon' });
      const work = kind === 'gitlab' ? 'repo' : 'work';
      // BuildKit is sent what it builds from.
      expect(mountsOf(daemon)[work]).toBe(isMachine(pod) ? mountsOf(runner)[work] : undefined);
    }
  });
});

test('the second namespace enforces the level above baseline, and restricted where no policy holds its pods', () => {
  const input = enrolledApart('github', slug);
  const levels = (isHeld: boolean | undefined) => {
    const builds = { ...input.tenant.builds, isHeld } as EnrollmentInput['tenant']['builds'];
    const tenant = { ...input.tenant, builds };
    return within(enrollmentObjects({ ...input, tenant }), dind)[0]?.metadata.labels;
  };
  expect(levels(undefined)).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'privileged' });
  expect(levels(true)).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'privileged' });
  expect(levels(false)).toMatchObject({ 'pod-security.kubernetes.io/enforce': 'restricted' });
});

describe('Secrets are where the pools are that read them', () => {
  const inputs = {
    cacheEnv: { ATTIC_TOKEN: 'trusted' },
    cacheFiles: { netrc: 'trusted' },
    untrusted: { pools: ['images'], cacheEnv: { ATTIC_TOKEN: 'strange' }, cacheFiles: { netrc: 'strange' } },
  };
  const secrets = (input: EnrollmentInput, namespace: string) =>
    named(within(enrollmentObjects(input), namespace)).filter((each) => each.startsWith('Secret '));

  test('beside daemons no more than those pools read', () => {
    const input = enrolledApart('github', slug, inputs);
    expect(secrets(input, runners)).toEqual([
      'Secret acme-github',
      'Secret acme-cache',
      'Secret acme-cache-files',
      'Secret acme-cache-untrusted',
      'Secret acme-cache-untrusted-files',
    ]);
    const only = { ...input, pools: input.pools.filter(({ pool }) => pool.name !== 'machines') };
    expect(secrets(only, dind)).toEqual([
      'Secret acme-github',
      'Secret acme-cache-untrusted',
      'Secret acme-cache-untrusted-files',
    ]);
  });

  test('and where an enrollment has no pool, none of it', () => {
    const input = enrolledApart('github', slug, inputs);
    const apart = { ...input, pools: input.pools.slice(1) };
    expect(secrets(apart, runners)).toEqual([]);
    expect(secrets({ ...input, pools: input.pools.slice(0, 1) }, dind)).toEqual([]);
  });
});

describe('A21: a job beside a daemon reaches what a restricted one does, and nobody between the two', () => {
  const network = networkOf(enrollmentObjects(enrolledApart('github', slug)));
  const labels = { 'flywheel.dev/tenant': slug, 'flywheel.dev/enrollment': slug };
  const daemon = { namespace: dind, labels };
  const restricted = { namespace: runners, labels };
  const cache = { namespace: 'bazel-acme', labels: { 'app.kubernetes.io/name': 'bazel-remote' } };
  test.each<[string, Flow, boolean]>([
    ['the forge', { from: daemon, to: { ip: '140.82.121.3' }, port: 443 }, true],
    ['its cache', { from: daemon, to: cache, port: 8080 }, true],
    ['the metadata service', { from: daemon, to: { ip: '169.254.169.254' }, port: 443 }, false],
    ['a kubelet', { from: daemon, to: { ip: '10.1.2.3' }, port: 10_250 }, false],
    ['the API server', { from: daemon, to: { ip: '10.0.0.1' }, port: 443 }, false],
    ['DNS to 8.8.8.8', { from: daemon, to: { ip: '8.8.8.8' }, port: 53, protocol: 'UDP' }, false],
    ['a restricted job', { from: daemon, to: restricted, port: 8080 }, false],
    ['it, from a restricted job', { from: restricted, to: daemon, port: 2375 }, false],
    ['it, from the internet', { from: { ip: '140.82.121.3' }, to: daemon, port: 2375 }, false],
    ['another tenant’s cache', { from: daemon, to: { ...cache, namespace: 'bazel-other' }, port: 8080 }, false],
  ])('%s', (_, flow, expected) => expect(isAllowed(network, flow)).toBe(expected));
});

test('what the admission policy is told of daemons is what those pools are, and of restricted pools nothing', () => {
  const { tenant } = enrolledApart('github', slug);
  expect(tenant.builds?.placement).toEqual({
    runtimeClasses: ['', 'kata'],
    tolerations: ['flywheel.dev/class'],
    sandboxes: [],
    virtualMachines: ['kata'],
    buildImages: [daemonPools.builds.daemonImage],
    dockerImages: [daemonPools.dind.daemonImage],
    dockerNodes: ['flywheel.dev/class=dind'],
  });
  const restricted = enrolled('github', slug).pools.map(({ pool }) => ({ ...pool, daemonImage: 'not@this' }));
  expect(placementOf(restricted)).toMatchObject({ buildImages: [], dockerImages: [], dockerNodes: [] });
});

test('a tenant’s Bazel cache is open to its second namespace where it has one, and only there', () => {
  const ingress = (input: EnrollmentInput) =>
    JSON.stringify(enrollmentObjects(input).find(({ metadata }) => metadata.name === 'allow-runners')?.['spec']);
  expect(ingress(enrolledApart('github', slug))).toContain('dind-acme');
  expect(ingress(enrolled('github', slug))).not.toContain('dind-acme');
});

test('a restricted pool has no daemon, all of its size, and of a class that needs one without it nothing is made', () => {
  const [choice] = enrolled('github', slug).pools;
  if (!choice) throw new Error('no pool');
  expect(daemonOf(choice.pool, [])).toBeNull();
  expect(partsOf(choice.pool).runner).toEqual(choice.pool);
  expect(() => daemonOf({ ...choice.pool, securityClass: 'builds' }, [])).toThrow('no daemon image');
});

// ------------------------------------------------------------------------------------------------ reading pods

type Pod = MadePod['pod'];

/** GitLab's managers run nobody's job. */
function isOfJobs(name: string): boolean {
  return !name.endsWith('-gitlab');
}

function initsOf(pod: Pod): Container[] {
  return (pod.spec['initContainers'] ?? []) as Container[];
}

function sidecarsOf(pod: Pod | undefined): Container[] {
  return pod ? initsOf(pod).filter(({ restartPolicy }) => restartPolicy === 'Always') : [];
}

function isMachine(pod: Pod): boolean {
  return pod.spec['runtimeClassName'] === 'kata';
}

function mountsOf(container: Container | undefined): Record<string, string> {
  const mounts = (container?.['volumeMounts'] ?? []) as { name: string; mountPath: string }[];
  return Object.fromEntries(mounts.map(({ name, mountPath }) => [name, mountPath]));
}

/** As Kubernetes counts a pod that runs: its containers and its sidecars. A service of a job's own has no size here. */
function sizeOf(pod: Pod) {
  const running = [...pod.spec.containers, ...sidecarsOf(pod)].filter(({ name }) => !name.startsWith('svc-'));
  return (resource: string, amount: (quantity: string) => bigint) =>
    running.reduce((sum, { resources }) => {
      const { limits, requests } = resources as Record<'limits' | 'requests', Record<string, string>>;
      expect(limits).toEqual(requests);
      return sum + amount(limits[resource] ?? '0');
    }, 0n);
}

function gitlabToml(objects: readonly KubernetesObject[], pod: Pod): string {
  const pool = pod.metadata.labels?.['flywheel.dev/pool'];
  const secret = objects.find(({ kind, metadata }) => kind === 'Secret' && metadata.name === `acme-${pool}-gitlab`);
  const data = (secret?.['data'] ?? {}) as Record<string, string>;
  return Buffer.from(data['config.toml'] ?? '', 'base64').toString();
}
