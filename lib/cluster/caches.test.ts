import { describe, expect, test } from 'vitest';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { enrolled, forgeKinds, type ForgeKind } from './fixtures/tenants.ts';
import { bazelObjects, enrollmentObjects, type EnrollmentInput, type KubernetesObject } from './manifests.ts';

/* How jobs come to what reaches the caches, by trust and by forge; and who comes to the Bazel cache. */

const caches = {
  cacheEnv: { ATTIC_TOKEN: 'trusted' },
  cacheFiles: { netrc: 'trusted' },
  untrusted: { pools: ['docker'], cacheEnv: { ATTIC_TOKEN: 'untrusted' }, cacheFiles: { netrc: 'untrusted' } },
};

function inputOf(kind: ForgeKind): EnrollmentInput {
  return enrolled(kind, 'acme', caches);
}

type Pod = {
  containers: { envFrom?: { secretRef: { name: string } }[]; volumeMounts?: { mountPath: string; name: string }[] }[];
  volumes?: { name: string; secret?: { secretName: string } }[];
};

/** Of the pod that runs a pool's jobs, whoever makes it. */
function jobPod(objects: readonly KubernetesObject[], kind: ForgeKind, pool: string): Pod {
  const named = (of: string, name: string) => objects.find((each) => each.kind === of && each.metadata.name === name);
  type Templated = { spec: { template: { spec: Pod } } };
  if (kind === 'github')
    return (named('AutoscalingRunnerSet', `acme-${pool}`) as unknown as Templated).spec.template.spec;
  if (kind === 'forgejo')
    return (named('Deployment', `acme-${pool}-1-forgejo`) as unknown as Templated).spec.template.spec;
  const secret = named('Secret', `acme-${pool}-gitlab`) as unknown as { data: Record<string, string> };
  const config = parseToml(Buffer.from(secret.data['config.toml'] ?? '', 'base64').toString()) as unknown as {
    runners: { kubernetes: { pod_spec: { patch: string }[] } }[];
  };
  return parseYaml(config.runners[0]?.kubernetes.pod_spec[0]?.patch ?? '') as Pod;
}

describe.each(forgeKinds)('at %s', (kind) => {
  const objects = enrollmentObjects(inputOf(kind));

  test.each([
    ['nix', 'acme-cache', 'acme-cache-files'],
    ['docker', 'acme-cache-untrusted', 'acme-cache-untrusted-files'],
  ])('A22: jobs of %s read their own Secrets and no other’s', (pool, env, files) => {
    const pod = jobPod(objects, kind, pool);
    const names = JSON.stringify(pod).match(/acme-cache[a-z-]*/g);
    expect([...new Set(names)].toSorted()).toEqual([env, files]);
    const [container] = pod.containers;
    expect(container?.envFrom).toEqual([{ secretRef: { name: env } }]);
    expect(container?.volumeMounts).toContainEqual({
      name: 'flywheel-cache',
      mountPath: '/flywheel/cache',
      readOnly: true,
    });
    // The whole Secret: a kubelet renews no file that is mounted by `subPath`.
    expect(pod.volumes).toContainEqual({ name: 'flywheel-cache', secret: { secretName: files } });
  });

  test('what is not there is not mounted', () => {
    const bare = { ...inputOf(kind), cacheEnv: {}, cacheFiles: undefined, untrusted: undefined };
    const text = JSON.stringify(jobPod(enrollmentObjects(bare), kind, 'docker'));
    expect(text).not.toMatch(/acme-cache|flywheel-cache/);
    expect(enrollmentObjects(bare).filter(({ metadata }) => metadata.name.includes('acme-cache'))).toEqual([]);
  });
});

describe('the Bazel cache', () => {
  const of = (bazel: NonNullable<EnrollmentInput['bazel']>) => bazelObjects({ ...inputOf('github'), bazel });
  const usual = { sizeGib: 20, user: 'runner', password: 'password', also: [] };
  const find = (objects: KubernetesObject[], kind: string, name: string): KubernetesObject => {
    const found = objects.find((each) => each.kind === kind && each.metadata.name === name);
    if (!found) throw new Error(`no ${kind} ${name}`);
    return found;
  };

  test('is read without a login, and written with one', () => {
    const deployment = JSON.stringify(find(of(usual), 'Deployment', 'bazel-remote'));
    expect(deployment).toContain('--allow_unauthenticated_reads');
    expect(deployment).toContain('--htpasswd_file=/etc/bazel-remote/htpasswd');
  });

  test.each([
    [undefined, []],
    [{ cidr: '10.20.0.0/16' }, [{ ipBlock: { cidr: '10.20.0.0/16' } }]],
    [
      { namespace: 'gateway' },
      [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'gateway' } }, podSelector: {} }],
    ],
  ])('lets in the tenant’s runners, and whom the operator names: %j', (readers, more) => {
    const policy = find(of({ ...usual, readers }), 'NetworkPolicy', 'allow-runners');
    expect((policy['spec'] as { ingress: { from: object[] }[] }).ingress.flatMap(({ from }) => from)).toEqual([
      { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'runners-acme' } }, podSelector: {} },
      ...more,
    ]);
  });

  test.each([
    ['a colon', { ...usual, user: 'a:b' }],
    ['a line', { ...usual, user: 'a\nb' }],
    ['nobody', { ...usual, user: '' }],
    ['no password', { ...usual, password: '' }],
    ['a second of that name', { ...usual, also: [{ user: 'runner', password: 'other' }] }],
    ['a colon in one that follows', { ...usual, also: [{ user: 'x:y', password: 'other' }] }],
  ])('never writes a password file that cannot be read: %s', (_, bazel) => {
    expect(() => of(bazel)).toThrow(TypeError);
  });

  test('has a line for each login, in a form that every reader of htpasswd takes', () => {
    const secret = find(of({ ...usual, also: [{ user: 'next', password: 'b' }] }), 'Secret', 'bazel-remote-htpasswd');
    const text = Buffer.from((secret['data'] as { htpasswd: string }).htpasswd, 'base64').toString();
    expect(text).toMatch(/^(?:[\w.-]+:\{SHA\}[A-Za-z0-9+/]{27}=\n){2}$/);
  });
});
