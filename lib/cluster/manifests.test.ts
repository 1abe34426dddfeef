import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { parse } from 'smol-toml';
import { stringify } from 'yaml';
import { cpuMillicores, memoryBytes, namespacesOf, promisedBy } from '#lib/model/index.ts';
import { jobSizes } from './gitlab-objects.ts';
import {
  enrollmentObjects,
  managerRules,
  managerSize,
  managersOf,
  redacted,
  runnerNamesOf,
  sealedValue,
  type EnrollmentInput,
  type GithubRegistration,
  type KubernetesObject,
  type PlacementInput,
  type PoolInput,
  type Registration,
} from './manifests.ts';

/** Every field, the optional ones too: one that is added to the type must be added here, and then be rendered. */
type Whole<T> = T extends readonly (infer Each)[]
  ? Whole<Each>[]
  : T extends object
    ? { [Field in keyof T]-?: Whole<NonNullable<T[Field]>> }
    : T;

const pool = (name: string): Whole<PoolInput['pool']> => ({
  name,
  description: 'sentinel-description',
  cpu: '13',
  memory: '17Gi',
  storage: '19Gi',
  image: `registry.example/${name}:sentinel`,
  imageDigest: `sha256:${'5e'.repeat(32)}`,
  devices: { 'sentinel.example/device': 61 },
  securityClass: 'restricted',
  daemonImage: `registry.example/daemon@sha256:${'da'.repeat(32)}`,
  placement: {
    runtimeClass: 'sentinel-runtime',
    kernel: 'sandbox',
    nodeSelector: { 'sentinel.example/node': 'sentinel-node' },
    tolerations: [{ key: 'sentinel.example/taint', value: 'sentinel-taint', effect: 'NoExecute' }],
  },
});

type Kind = Registration['kind'];
const kinds: readonly Kind[] = ['github', 'gitlab', 'forgejo'];

const wholeRegistrations: { [K in Kind]: Whole<Extract<Registration, { kind: K }>> } = {
  github: {
    kind: 'github',
    configUrl: 'https://forge.example/sentinel/url',
    runnerGroup: 'sentinel-group',
    credentials: { appId: 'sentinel-app', installationId: '9876501', privateKey: 'sentinel-private-key' },
    controller: { version: '0.14.2', namespace: 'sentinel-controller', serviceAccount: 'sentinel-account' },
  },
  gitlab: {
    kind: 'gitlab',
    url: 'https://gitlab.sentinel.example',
    runners: {
      'flywheel-sentinel-scale-set': {
        token: 'glrt-sentinel-token',
        name: 'sentinel-runner-name',
        next: { token: 'glrt-sentinel-next-token', name: 'sentinel-next-runner-name' },
      },
    },
  },
  forgejo: {
    kind: 'forgejo',
    url: 'https://forgejo.sentinel.example',
    runners: {
      'flywheel-sentinel-scale-set-1': { uuid: 'sentinel-uuid-1', token: 'sentinel-token-1' },
      'flywheel-sentinel-scale-set-2': { uuid: 'sentinel-uuid-2', token: 'sentinel-token-2' },
    },
    ephemeral: true,
  },
};

/** What stands in the place of other fields has tests of its own. */
type WholeInput = Whole<Omit<EnrollmentInput, 'pools'>> & {
  pools: Whole<Omit<PoolInput, 'adopted' | 'standing' | 'holdsPlaces'>>[];
};

function wholePlacement(of: string): Whole<PlacementInput> {
  return {
    runtimeClasses: [`${of}-class`],
    tolerations: [`${of}-taint`],
    sandboxes: [`${of}-sandbox`],
    virtualMachines: [`${of}-machine`],
    buildImages: [`${of}-buildkit`],
    dockerImages: [`${of}-docker`],
    dockerNodes: [`${of}-node=yes`],
  };
}

function wholeInput(kind: Kind = 'github'): WholeInput {
  return {
    tenant: {
      slug: 'sentinel-slug',
      placement: wholePlacement('sentinel'),
      quota: { cpu: '101', memory: '103Gi', runners: 107, storage: '109Gi' },
      builds: {
        placement: wholePlacement('sentinel-builds'),
        quota: { cpu: '137', memory: '139Gi', runners: 149, storage: '151Gi' },
        managers: 157,
        devices: { 'sentinel.example/device': 163 },
        isHeld: true,
      },
      cacheEndpoint: { namespace: 'sentinel-cache-namespace', port: 48_123 },
      hasBazel: true,
      managers: 131,
      devices: { 'sentinel.example/device': 59 },
    },
    name: 'sentinel-name',
    registration: structuredClone(wholeRegistrations[kind]),
    pools: [
      {
        pool: pool('sentinel-pool'),
        scaleSetName: 'sentinel-scale-set',
        minRunners: 109,
        maxRunners: kind === 'forgejo' ? 2 : 113,
      },
    ],
    forgeEndpoint: { namespace: 'sentinel-forge-namespace', port: 48_127 },
    caBundle: 'sentinel-authority',
    cacheEnv: { SENTINEL_KEY: 'sentinel-cache-token' },
    cacheFiles: { 'sentinel-file': 'sentinel-netrc' },
    untrusted: {
      pools: ['sentinel-pool'],
      cacheEnv: { SENTINEL_UNTRUSTED: 'sentinel-untrusted-token' },
      cacheFiles: { 'sentinel-untrusted-file': 'sentinel-untrusted-netrc' },
    },
    bazel: {
      sizeGib: 127,
      user: 'sentinel-user',
      password: 'sentinel-password',
      also: [{ user: 'sentinel-also-user', password: 'sentinel-also-password' }],
      readers: { namespace: 'sentinel-readers' },
    },
  };
}

/** As a reader of the cluster has it: a Secret's values decoded. */
function decoded(object: KubernetesObject): KubernetesObject {
  if (object.kind !== 'Secret') return object;
  const data = Object.entries(object['data'] as Record<string, string>);
  return {
    ...object,
    data: Object.fromEntries(data.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()])),
  };
}

function leavesOf(value: unknown, path: string[] = []): [string[], unknown][] {
  if (typeof value !== 'object' || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([key, each]) => leavesOf(each, [...path, key]));
}

function withLeaf(kind: Kind, path: string[], value: unknown): EnrollmentInput {
  const input = wholeInput(kind);
  const last = path.at(-1) ?? '';
  const within = path.slice(0, -1).reduce<object>((at, part) => Reflect.get(at, part) as object, input);
  Reflect.set(within, last, value);
  return allRegistered(input);
}

/** With another label or another count the runners are others, which somebody has to have registered. */
function allRegistered(input: EnrollmentInput): EnrollmentInput {
  const { registration, pools } = input;
  if (registration.kind === 'github') return input;
  const runners: Record<string, { uuid: string; token: string }> = Object.fromEntries(
    pools
      .flatMap((choice) => runnerNamesOf(registration.kind, choice))
      .map((name) => [name, { uuid: 'u', token: 't' }]),
  );
  return {
    ...input,
    registration: { ...registration, runners: { ...runners, ...registration.runners } } as Registration,
  };
}

/** Fields that name something for people or decide beside the objects, each with its reason. */
const inNone: Record<string, string> = {
  'pools.0.pool.description': 'people read it',
  'pools.0.pool.daemonImage': 'a restricted pool has no daemon; the others have tests of their own',
  'pools.0.pool.placement.kernel': 'a pod that has its own has no user namespace: a test of its own shows it',
};
/** It decides what else is rendered: tests of its own show how. */
const decides = 'pools.0.pool.securityClass';
const unrendered: Record<Kind, Record<string, string>> = {
  github: inNone,
  gitlab: { ...inNone, 'pools.0.minRunners': 'without a schedule the model’s rule lets it be nothing but 0' },
  forgejo: { ...inNone, 'pools.0.minRunners': 'the model’s rule lets it be nothing but 0' },
};

/** Fields that are seen by what is worked out from them. */
const workedOut: Record<Kind, Record<string, string>> = {
  github: {},
  // The helper's share is taken off.
  gitlab: { 'pools.0.pool.cpu': '12500m', 'pools.0.pool.memory': '16896Mi', 'pools.0.pool.storage': '18Gi' },
  forgejo: { 'pools.0.maxRunners': 'sentinel-scale-set-2-forgejo' },
};

describe.each(kinds)('every field of an input of %s reaches the cluster', (kind) => {
  const rendered = (input: EnrollmentInput) => JSON.stringify(enrollmentObjects(input).map(decoded));
  const text = rendered(wholeInput(kind));
  // The kind says which objects there are; it is no value of theirs.
  const leaves = leavesOf(wholeInput(kind)).filter(([path]) => path.at(-1) !== 'kind');

  test.each(leaves.map(([path, value]) => [path.join('.'), value, path] as const))('%s', (name, value, path) => {
    if (name in unrendered[kind] || name === decides) return;
    const other = typeof value === 'boolean' ? !value : typeof value === 'number' ? value + 1 : `${String(value)}0`;
    // By its value, or by what only its value makes.
    const isShown = typeof value === 'boolean' || text.includes(shownAs(name, String(value)));
    const isMoved = rendered(withLeaf(kind, [...path], renderable(name, other))) !== text;
    expect({ isShown, isMoved }).toEqual({ isShown: true, isMoved: true });
  });

  test('and the list of those that do not names nothing that does', () => {
    for (const name of Object.keys(unrendered[kind]))
      expect(rendered(withLeaf(kind, name.split('.'), 'another'))).toBe(text);
  });

  function shownAs(name: string, value: string): string {
    const known = workedOut[kind][name];
    if (known !== undefined) return known;
    if (/^bazel\b.*\.password$/.test(name)) return `{SHA}${createHash('sha1').update(value).digest('base64')}`;
    // A manager's work folder is on top of what was bought.
    if (name === 'tenant.quota.storage') return `${109 * 1024 + 131 * 256}Mi`;
    if (name === 'tenant.builds.quota.storage') return `${151 * 1024 + 157 * 256}Mi`;
    if (name === 'tenant.quota.runners' || name === 'tenant.managers') return String(107 + 131);
    if (name === 'tenant.builds.quota.runners' || name === 'tenant.builds.managers') return String(149 + 157);
    return name === 'bazel.sizeGib' ? `${value}Gi` : value;
  }

  /** A quantity stays one. */
  function renderable(name: string, other: unknown): unknown {
    return /\.(memory|storage)$/.test(name) ? '23Gi' : other;
  }
});

// ------------------------------------------------------------------------------------------------ one enrollment, to be read

const { placement, imageDigest: _, devices: __, daemonImage: ___, ...plain } = pool('nix');
const nix = {
  ...plain,
  cpu: '4',
  memory: '8Gi',
  storage: '20Gi',
  image: 'ghcr.io/actions/actions-runner:2.333.0',
};
const docker = { ...nix, name: 'docker', cpu: '2', memory: '4Gi' };
/** What the catalog says of a pool beside what is rendered. */
const catalogued = {
  imageDigest: null,
  daemonImage: null,
  imageBuiltAt: null,
  devices: {},
  needsDevice: false,
  runnersMost: null,
  requiresApproval: false,
};

const github: GithubRegistration = {
  kind: 'github',
  configUrl: 'https://github.com/JessSullivan/cmux',
  credentials: { appId: '12345', installationId: '67890', privateKey: 'the App’s key' },
  controller: { version: '0.14.2', namespace: 'arc-systems', serviceAccount: 'arc-gha-rs-controller' },
};

function cmux(): EnrollmentInput {
  return {
    tenant: { slug: 'cmux', quota: { cpu: '16', memory: '32Gi', runners: 8, storage: '250Gi' }, hasBazel: true },
    name: 'cmux',
    registration: github,
    pools: [
      { pool: docker, scaleSetName: 'cmux-docker', minRunners: 0, maxRunners: 4 },
      { pool: nix, scaleSetName: 'cmux-nix', minRunners: 1, maxRunners: 2 },
    ],
    cacheEnv: { ATTIC_CACHE: 'cmux+main', ATTIC_TOKEN: 'the cache’s token' },
    cacheFiles: { netrc: 'the cache’s token, as netrc' },
    bazel: { sizeGib: 20, user: 'runner', password: 'the password', also: [] },
  };
}

const registrations: Record<Kind, Registration> = {
  github,
  gitlab: {
    kind: 'gitlab',
    url: 'https://gitlab.example.org',
    runners: {
      'flywheel-cmux-docker': { token: 'glrt-the-docker-token' },
      'flywheel-cmux-nix': { token: 'glrt-the-nix-token' },
    },
  },
  forgejo: {
    kind: 'forgejo',
    url: 'https://forgejo.example.org',
    runners: Object.fromEntries(
      ['docker-1', 'docker-2', 'docker-3', 'docker-4', 'nix-1', 'nix-2'].map((name, index) => [
        `flywheel-cmux-${name}`,
        { uuid: `00000000-0000-4000-8000-00000000000${index}`, token: `${index}`.repeat(40) },
      ]),
    ),
    ephemeral: true,
  },
};

/** The same enrollment at another forge. */
function cmuxAt(kind: Kind): EnrollmentInput {
  const input = cmux();
  if (kind === 'github') return input;
  return {
    ...input,
    tenant: { ...input.tenant, managers: kind === 'gitlab' ? 2 : 0 },
    registration: registrations[kind],
    pools: input.pools.map((choice) => ({ ...choice, minRunners: 0 })),
  };
}

function ofKind(objects: readonly KubernetesObject[], kind: string): KubernetesObject[] {
  return objects.filter((object) => object.kind === kind);
}

function nameOf({ metadata }: KubernetesObject): string {
  return metadata.name;
}

/** In the form that the formatter leaves alone. */
const asWritten = { aliasDuplicateObjects: false, singleQuote: true } as const;

test.each([
  ['github', 'enrollment.yaml'],
  ['gitlab', 'enrollment-gitlab.yaml'],
  ['forgejo', 'enrollment-forgejo.yaml'],
] as const)('the objects of one enrollment of %s are those of fixtures/%s', async (kind, file) => {
  const documents = enrollmentObjects(cmuxAt(kind)).map((object) => stringify(redacted(object), asWritten));
  await expect(documents.join('---\n')).toMatchFileSnapshot(`fixtures/${file}`);
});

test.each(kinds)('%s: the same values make the same objects, and nothing is changed on the way', (kind) => {
  const input = cmuxAt(kind);
  const before = structuredClone(input);
  expect(enrollmentObjects(input)).toEqual(enrollmentObjects(cmuxAt(kind)));
  expect(input).toEqual(before);
});

test.each(kinds)('%s: each object comes after its namespace, and no two have one name', (kind) => {
  const objects = enrollmentObjects(cmuxAt(kind));
  const seen = new Set<string>();
  for (const object of objects) {
    const { namespace } = object.metadata;
    expect(object.kind === 'Namespace' || seen.has(`Namespace//${namespace}`)).toBe(true);
    seen.add(`${object.kind}/${namespace ?? ''}/${object.metadata.name}`);
  }
  expect(seen.size).toBe(objects.length);
});

test('one tenant at three forges: no object of one forge has the name of another’s', () => {
  const paths = kinds.flatMap((kind) =>
    enrollmentObjects({ ...cmuxAt(kind), name: `cmux-${kind}`, tenant: cmux().tenant }).map(
      ({ kind: of, metadata }) => `${of}/${metadata.namespace ?? ''}/${metadata.name}`,
    ),
  );
  const shared = paths.filter((path, index) => paths.indexOf(path) !== index);
  // The tenant's namespace with its fences, and its bazel cache.
  const own = new Set(enrollmentObjects({ ...cmux(), pools: [], cacheEnv: {} }).map(nameOf));
  expect(shared.filter((path) => !own.has(path.split('/')[2] ?? ''))).toEqual([]);
});

describe.each(kinds)('names of %s, at their longest', (kind) => {
  const slug = 'a'.repeat(30);
  const scaleSetName = `${slug}-${'b'.repeat(14)}`;
  const objects = enrollmentObjects(
    allRegistered({
      ...cmuxAt(kind),
      tenant: { ...cmux().tenant, slug },
      name: 'e'.repeat(45),
      pools: [{ pool: nix, scaleSetName, minRunners: 0, maxRunners: kind === 'forgejo' ? 1000 : 1 }],
    }),
  );

  test('are what Kubernetes takes: 63 characters where they become part of a domain name, 253 elsewhere', () => {
    const most: Record<string, number> = { Namespace: 63, Service: 63, AutoscalingRunnerSet: 45 };
    const tooLong = objects.filter(({ kind, metadata }) => metadata.name.length > (most[kind] ?? 253));
    expect(tooLong.map(nameOf)).toEqual([]);
    for (const { metadata } of objects) expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
  });

  test('and so are labels, and the annotation that is at most 63', () => {
    const values = new Set(
      leavesOf(objects).flatMap(([path, value]) => (path.includes('labels') ? [String(value)] : [])),
    );
    expect(values.size).toBeGreaterThan(5);
    for (const value of values) expect(value).toMatch(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);
    for (const set of ofKind(objects, 'AutoscalingRunnerSet'))
      expect(set.metadata.annotations?.['actions.github.com/values-hash']).toMatch(/^[0-9a-f]{63}$/);
  });
});

test.each(kinds)('%s: every object bears the owner’s labels, and is in the tenant’s own namespaces', (forge) => {
  const { runners, bazel } = namespacesOf('cmux');
  for (const { kind, metadata } of enrollmentObjects(cmuxAt(forge))) {
    expect(metadata.labels).toMatchObject({
      'app.kubernetes.io/managed-by': 'flywheel',
      'flywheel.dev/tenant': 'cmux',
    });
    expect([runners, bazel]).toContain(kind === 'Namespace' ? metadata.name : metadata.namespace);
  }
});

// ------------------------------------------------------------------------------------------------ what ARC needs (0.14.2)

describe('what ARC’s controller relies on', () => {
  const objects = enrollmentObjects(cmux());
  const sets = ofKind(objects, 'AutoscalingRunnerSet');

  test('an object that ARC must let go is named by the annotation that makes it, and none without it', () => {
    const kindOf: Record<string, string> = {
      'actions.github.com/cleanup-manager-role-binding': 'RoleBinding',
      'actions.github.com/cleanup-manager-role-name': 'Role',
      'actions.github.com/cleanup-no-permission-service-account-name': 'ServiceAccount',
    };
    const named = sets.flatMap(({ metadata }) =>
      Object.entries(metadata.annotations ?? {})
        .filter(([annotation]) => annotation.startsWith('actions.github.com/cleanup-'))
        .map(([annotation, name]) => `${kindOf[annotation] ?? annotation} ${name}`),
    );
    const held = objects.filter(({ metadata }) => metadata.finalizers !== undefined);
    expect(held.map((object) => `${object.kind} ${nameOf(object)}`).toSorted()).toEqual(named.toSorted());
    expect(held.flatMap(({ metadata }) => metadata.finalizers)).toEqual(
      held.map(() => 'actions.github.com/cleanup-protection'),
    );
    expect(named.length).toBe(6);
  });

  test('a set bears the controller’s version, or it would be deleted at sight', () => {
    for (const { metadata } of sets) expect(metadata.labels?.['app.kubernetes.io/version']).toBe('0.14.2');
  });

  test('a set names itself, its Secret and its controller’s account', () => {
    const secrets = ofKind(objects, 'Secret').map(nameOf);
    for (const set of sets) {
      const spec = set['spec'] as Record<string, unknown>;
      expect(spec).toMatchObject({ runnerScaleSetName: nameOf(set), githubConfigUrl: github.configUrl });
      expect(spec).not.toHaveProperty('runnerGroup');
      expect(secrets).toContain(spec['githubConfigSecret']);
      const binding = ofKind(objects, 'RoleBinding').find((each) => nameOf(each) === `${nameOf(set)}-gha-rs-manager`);
      expect(binding?.['subjects']).toEqual([
        { kind: 'ServiceAccount', name: 'arc-gha-rs-controller', namespace: 'arc-systems' },
      ]);
    }
  });

  test('the Secret has the keys of an App and none of a token: both would be refused', () => {
    const [github] = ofKind(objects, 'Secret')
      .filter(({ metadata }) => metadata.name === 'cmux-github')
      .map(decoded);
    expect(github?.['data']).toEqual({
      github_app_id: '12345',
      github_app_installation_id: '67890',
      github_app_private_key: 'the App’s key',
    });
  });

  test('the manager’s Role is the chart’s, with no wildcard and no way to more', () => {
    for (const role of ofKind(objects, 'Role')) expect(role['rules']).toEqual(managerRules);
    const granted = managerRules.flatMap((rule) => [...rule.apiGroups, ...rule.resources, ...rule.verbs]);
    expect(
      granted.filter((each) => /\*|escalate|bind|impersonate|pods\/exec|nodes/.test(each) && each !== 'rolebindings'),
    ).toEqual([]);
  });

  const hashOf = (input: EnrollmentInput) =>
    ofKind(enrollmentObjects(input), 'AutoscalingRunnerSet').map(
      ({ metadata }) => metadata.annotations?.['actions.github.com/values-hash'],
    );

  test('a rotated key moves the values-hash of every set, since nothing watches the Secret', () => {
    const credentials = { appId: '12345', installationId: '67890', privateKey: 'another key' };
    const rotated = { ...cmux(), registration: { ...github, credentials } };
    const [before, after] = [hashOf(cmux()), hashOf(rotated)];
    expect(after.map((hash, index) => hash === before[index])).toEqual([false, false]);
    // A hash tells nothing of a key.
    expect(JSON.stringify(after)).not.toContain('another');
  });

  test('a new cache token does not: each runner reads it when it starts, and the listener need not', () => {
    const renewed = { ...cmux(), cacheEnv: { ...cmux().cacheEnv, ATTIC_TOKEN: 'another token' } };
    expect(hashOf(renewed)).toEqual(hashOf(cmux()));
    const of = (input: EnrollmentInput) => enrollmentObjects(input).map((object) => JSON.stringify(object));
    const changed = of(renewed).filter((object) => !of(cmux()).includes(object));
    expect(changed.map((object) => nameOf(JSON.parse(object) as KubernetesObject))).toEqual(['cmux-cache']);
  });
});

// ------------------------------------------------------------------------------------------------ hardening

type Container = {
  name: string;
  imagePullPolicy: string;
  ports?: { hostPort?: number }[];
  resources: { requests: Record<string, string>; limits: Record<string, string> };
  securityContext: Record<string, unknown>;
};
type PodSpec = Record<string, unknown> & {
  containers: Container[];
  initContainers?: Container[];
  securityContext: Record<string, unknown>;
  volumes: Record<string, unknown>[];
};

function podSpecs(objects: readonly KubernetesObject[]): [string, PodSpec][] {
  return objects.flatMap((object) => {
    const template = (object['spec'] as { template?: { spec: PodSpec } } | undefined)?.template;
    return template ? [[`${object.kind} ${nameOf(object)}`, template.spec] as [string, PodSpec]] : [];
  });
}

/** Of each forge, the tenant's cache once. */
const allPods = kinds.flatMap((kind) =>
  podSpecs(enrollmentObjects(cmuxAt(kind))).filter(([name]) => kind === 'github' || name !== 'Deployment bazel-remote'),
);
const isManager = (name: string) => name.endsWith('-gitlab');

describe('the hardening profile', () => {
  const pods = podSpecs(enrollmentObjects(cmux()));

  test('is asked of every pod', () => {
    expect(allPods.map(([name]) => name)).toEqual([
      'Deployment bazel-remote',
      'AutoscalingRunnerSet cmux-docker',
      'AutoscalingRunnerSet cmux-nix',
      'Deployment cmux-docker-gitlab',
      'Deployment cmux-nix-gitlab',
      ...['docker-1', 'docker-2', 'docker-3', 'docker-4', 'nix-1', 'nix-2'].map(
        (name) => `Deployment cmux-${name}-forgejo`,
      ),
    ]);
  });

  test.each(allPods)('%s', (name, spec) => {
    // GitLab's manager makes pods; nothing else speaks to the API server.
    expect(spec).toMatchObject({ automountServiceAccountToken: isManager(name), enableServiceLinks: false });
    expect(spec.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    expect(spec.securityContext['runAsUser']).toBeGreaterThan(1000);
    for (const forbidden of ['hostNetwork', 'hostPID', 'hostIPC', 'nodeName', 'tolerations', 'hostAliases'])
      expect(spec).not.toHaveProperty(forbidden);
    for (const container of [...(spec.initContainers ?? []), ...spec.containers]) {
      expect(container.imagePullPolicy).toBe('Always');
      expect(container.securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
      });
      expect(container.securityContext['capabilities']).toEqual({ drop: ['ALL'] });
      expect(container.securityContext['privileged'] ?? false).toBe(false);
      expect(container.securityContext).not.toHaveProperty('procMount');
      for (const resource of ['cpu', 'memory', 'ephemeral-storage']) {
        expect(container.resources.requests).toHaveProperty(resource);
        expect(container.resources.limits).toHaveProperty(resource);
      }
      expect((container.ports ?? []).filter(({ hostPort }) => hostPort !== undefined)).toEqual([]);
    }
    for (const volume of spec.volumes) {
      const [kind] = Object.keys(volume).filter((field) => field !== 'name');
      expect(['emptyDir', 'secret', 'persistentVolumeClaim']).toContain(kind);
      expect(kind === 'emptyDir' ? volume['emptyDir'] : { sizeLimit: '' }).toHaveProperty('sizeLimit');
    }
  });

  test.each(['github', 'forgejo'] as const)('%s: a pool’s runners run where its catalog says, on Linux', (kind) => {
    const input = cmuxAt(kind);
    const anyTaint = { key: 'dedicated' };
    const there = { ...placement, tolerations: [...placement.tolerations, anyTaint] };
    const pools = input.pools.map((choice) => ({ ...choice, pool: { ...choice.pool, placement: there } }));
    const runners = podSpecs(enrollmentObjects({ ...input, pools })).filter(([name]) => !name.includes('bazel'));
    expect(runners.length).toBe(kind === 'github' ? 2 : 6);
    for (const [, spec] of runners) {
      // Its class gives it a kernel of its own, and starts no pod that has a user namespace.
      expect(spec).not.toHaveProperty('hostUsers');
      expect(spec).toMatchObject({
        runtimeClassName: 'sentinel-runtime',
        nodeSelector: { 'sentinel.example/node': 'sentinel-node', 'kubernetes.io/os': 'linux' },
        tolerations: [
          { key: 'sentinel.example/taint', operator: 'Equal', value: 'sentinel-taint', effect: 'NoExecute' },
          { ...anyTaint, operator: 'Exists' },
        ],
      });
    }
  });

  test.each(allPods.filter(([name]) => name.endsWith('-forgejo')))(
    '%s: a runner is another user on the node, with no right and no key in reach but its own',
    (name, spec) => {
      expect(spec).toMatchObject({ hostUsers: false });
      expect(spec.securityContext).toMatchObject({ runAsUser: 1001 });
      const [runner] = spec.containers;
      expect(runner?.resources.limits).toEqual(runner?.resources.requests);
      // A pod counts as the larger of the two.
      expect(spec.initContainers?.map(({ resources }) => resources)).toEqual([runner?.resources]);
      expect(spec['serviceAccountName']).toMatch(/^cmux-(docker|nix)-forgejo$/);
      const secrets = spec.volumes.flatMap((volume) => (volume['secret'] as { secretName: string } | undefined) ?? []);
      expect(secrets).toEqual([{ secretName: name.replace('Deployment ', '') }, { secretName: 'cmux-cache-files' }]);
    },
  );

  test.each(pods.filter(([name]) => name.startsWith('Autoscaling')))(
    '%s: a runner is another user on the node, and ends',
    (_, spec) => {
      expect(spec).toMatchObject({ hostUsers: false, restartPolicy: 'Never', activeDeadlineSeconds: 5 * 24 * 3600 });
      expect(spec.securityContext).toMatchObject({ runAsUser: 1001 });
      const [runner] = spec.containers;
      expect(runner).toMatchObject({ name: 'runner', command: ['/home/runner/run.sh'] });
      // What it may use is what is set aside for it, and what the quota counts.
      expect(runner?.resources.limits).toEqual(runner?.resources.requests);
      // No service account that may anything, no key in reach (A20).
      expect(spec['serviceAccountName']).toMatch(/-gha-rs-no-permission$/);
      expect(JSON.stringify(spec)).not.toContain('cmux-github');
    },
  );

  test.each(allPods.filter(([name]) => isManager(name) || name.endsWith('bazel-remote')))(
    '%s: its file system is read-only but for its data',
    (_, spec) => {
      expect(spec.containers[0]?.securityContext).toMatchObject({ readOnlyRootFilesystem: true });
    },
  );

  test('every namespace enforces restricted, at a pinned version, and has a quota and a default deny', () => {
    const objects = enrollmentObjects(cmux());
    const namespaces = ofKind(objects, 'Namespace');
    expect(namespaces.map(nameOf)).toEqual(['runners-cmux', 'bazel-cmux']);
    for (const namespace of namespaces) {
      for (const mode of ['enforce', 'audit', 'warn']) {
        expect(namespace.metadata.labels?.[`pod-security.kubernetes.io/${mode}`]).toBe('restricted');
        expect(namespace.metadata.labels?.[`pod-security.kubernetes.io/${mode}-version`]).toMatch(/^v1\.\d+$/);
      }
      const within = objects.filter(({ metadata }) => metadata.namespace === nameOf(namespace));
      expect(ofKind(within, 'ResourceQuota').length).toBe(1);
      const deny = within.find(({ kind, metadata }) => kind === 'NetworkPolicy' && metadata.name === 'default-deny');
      expect(deny?.['spec']).toEqual({ podSelector: {}, policyTypes: ['Ingress', 'Egress'] });
    }
  });

  test('F24: the quota holds what was bought and nothing that costs elsewhere', () => {
    const [quota] = ofKind(enrollmentObjects(cmux()), 'ResourceQuota');
    expect(quota?.['spec']).toEqual({
      hard: {
        'requests.cpu': '16',
        'limits.cpu': '16',
        'requests.memory': '32Gi',
        'limits.memory': '32Gi',
        'requests.ephemeral-storage': '250Gi',
        'limits.ephemeral-storage': '250Gi',
        pods: '8',
        secrets: '132',
        configmaps: '100',
        replicationcontrollers: '0',
        resourcequotas: '10',
        persistentvolumeclaims: '0',
        services: '0',
        'services.loadbalancers': '0',
        'services.nodeports': '0',
      },
    });
  });

  test('F24: managers take none of what was bought, in a quota of as many as there are', () => {
    const [quota] = ofKind(enrollmentObjects(cmuxAt('gitlab')), 'ResourceQuota');
    expect(quota?.['spec']).toMatchObject({
      hard: {
        'requests.cpu': '16400m',
        'limits.cpu': '16400m',
        'requests.memory': '33280Mi',
        'limits.memory': '33280Mi',
        'limits.ephemeral-storage': '256512Mi',
        pods: '10',
        secrets: '140',
        services: '0',
      },
    });
    expect(managersOf('gitlab', cmux().pools)).toBe(2);
    expect(managersOf('gitlab', [{ maxRunners: 0 }])).toBe(0);
    expect([managersOf('github', cmux().pools), managersOf('forgejo', cmux().pools)]).toEqual([0, 0]);
    // As many as have a pod, and as large as the quota thinks.
    const pods = podSpecs(enrollmentObjects(cmuxAt('gitlab'))).filter(([name]) => isManager(name));
    expect(pods.length).toBe(2);
    for (const [, { containers }] of pods)
      expect(containers.map(({ resources }) => resources)).toEqual([{ requests: managerSize, limits: managerSize }]);
  });

  test.each(['gitlab', 'forgejo'] as const)('F24: what %s’s jobs take at most is the pools’ maxima', (kind) => {
    const input = cmuxAt(kind);
    const needed = promisedBy(
      input.pools.map(({ pool: { name }, ...choice }) => ({ pool: name, ...choice })),
      new Map(input.pools.map((choice) => [choice.pool.name, { ...catalogued, ...choice.pool }])),
    );
    const sizes =
      kind === 'gitlab'
        ? input.pools.flatMap(({ pool: of, maxRunners }) => {
            const { build, helper } = jobSizes(of);
            return Array.from({ length: maxRunners }, () => [build.cpu + helper.cpu, build.memory + helper.memory]);
          })
        : podSpecs(enrollmentObjects(input))
            .filter(([name]) => name.endsWith('-forgejo'))
            .map(([, { containers }]) => [
              cpuMillicores(containers[0]?.resources.limits['cpu'] ?? ''),
              memoryBytes(containers[0]?.resources.limits['memory'] ?? ''),
            ]);
    const sum = (index: number) => sizes.reduce((total, size) => total + (size[index] ?? 0n), 0n);
    expect([sum(0), sum(1), BigInt(sizes.length)]).toEqual([needed.cpu, needed.memory, needed.runners]);
  });

  test.each([
    ['16', '32Gi', { cpu: '1', memory: '1Gi' }, { cpu: '100m', memory: '128Mi' }],
    ['500m', '512Mi', { cpu: '500m', memory: '512Mi' }, { cpu: '100m', memory: '128Mi' }],
    ['50m', '64Mi', { cpu: '50m', memory: '64Mi' }, { cpu: '50m', memory: '64Mi' }],
  ])('no default is above a quota of %s and %s', (cpu, memory, most, least) => {
    const input = cmux();
    const objects = enrollmentObjects({ ...input, tenant: { ...input.tenant, quota: { cpu, memory, runners: 1 } } });
    const [range] = ofKind(objects, 'LimitRange');
    const limit = { default: most, defaultRequest: least, max: { cpu, memory } };
    expect(range?.['spec']).toMatchObject({ limits: [limit] });
  });
});

// ------------------------------------------------------------------------------------------------ a forge's own authority

type Mounted = { name: string; mountPath: string; subPath?: string; readOnly?: boolean };
type WithFiles = Container & { env?: { name: string; value: string }[]; volumeMounts: Mounted[] };

/** What a container reads at a path: of the volume that is mounted nearest to it, the value in the object behind it. */
function fileAt(objects: readonly KubernetesObject[], spec: PodSpec, container: Container, path: string): unknown {
  const mounts = (container as WithFiles).volumeMounts.filter((mount) => `${path}/`.startsWith(`${mount.mountPath}/`));
  const at = mounts.toSorted((a, b) => b.mountPath.length - a.mountPath.length)[0];
  const volume = spec.volumes.find(({ name }) => name === at?.name) as
    | { secret?: { secretName: string }; configMap?: { name: string } }
    | undefined;
  const [kind, name] = volume?.secret ? ['Secret', volume.secret.secretName] : ['ConfigMap', volume?.configMap?.name];
  const object = objects.find((each) => each.kind === kind && nameOf(each) === name);
  const data = object && (decoded(object)['data'] as Record<string, string>);
  return { value: data?.[at?.subPath ?? path.split('/').at(-1) ?? ''], readOnly: at?.readOnly };
}

describe.each(kinds)('a forge’s own authority, at %s', (kind) => {
  const caBundle = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----';
  const input = cmuxAt(kind);
  const plain = enrollmentObjects(input);
  const objects = enrollmentObjects({ ...input, caBundle });
  const ofRunners = (all: readonly KubernetesObject[]) => podSpecs(all).filter(([name]) => !name.includes('bazel'));
  const envOf = ([container]: Container[]) =>
    Object.fromEntries(((container as WithFiles).env ?? []).map(({ name, value }) => [name, value]));

  test('lies in each pod where the programs there look for it', () => {
    const pods = ofRunners(objects);
    expect(pods.length).toBe(kind === 'forgejo' ? 6 : 2);
    for (const [name, spec] of pods) {
      const env = envOf(spec.containers);
      const paths =
        kind === 'gitlab'
          ? [/tls-ca-file = "([^"]+)"/.exec(configIn(name.replace('Deployment ', '')))?.[1]]
          : [env['NODE_EXTRA_CA_CERTS'], env['GIT_CONFIG_VALUE_0'], `${env['SSL_CERT_DIR']?.split(':')[1]}/ca.crt`];
      for (const path of paths)
        expect(fileAt(objects, spec, spec.containers[0] as Container, path ?? '')).toEqual({
          value: caBundle,
          readOnly: true,
        });
    }
  });

  function configIn(name: string): string {
    const found = objects.find((each) => each.kind === 'Secret' && nameOf(each) === name);
    return found ? ((decoded(found)['data'] as Record<string, string>)['config.toml'] ?? '') : '';
  }

  test('stands beside the system’s, and git trusts it at that forge alone', () => {
    if (kind === 'gitlab') return;
    const forge = kind === 'github' ? 'https://github.com' : 'https://forgejo.example.org';
    for (const [, spec] of ofRunners(objects))
      expect(envOf(spec.containers)).toMatchObject({
        SSL_CERT_DIR: '/etc/ssl/certs:/flywheel/authority',
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: `http.${forge}/.sslCAInfo`,
      });
  });

  test('changes nothing else of a pod: its hardening is that of one without', () => {
    const bare = (all: readonly KubernetesObject[]) =>
      ofRunners(all).map(([name, { volumes: _, containers, ...spec }]) => [
        name,
        spec,
        containers.map((container) => ({ ...container, env: null, volumeMounts: null })),
      ]);
    expect(bare(objects)).toEqual(bare(plain));
    const volumeKinds = ofRunners(objects).flatMap(([, { volumes }]) =>
      volumes.flatMap((volume) => Object.keys(volume).filter((field) => field !== 'name')),
    );
    expect([...new Set(volumeKinds)].toSorted()).toEqual(
      kind === 'github' ? ['configMap', 'emptyDir', 'secret'] : ['emptyDir', 'secret'],
    );
  });

  test('replaces, when it changes, what has read the former one', () => {
    const hashes = (all: readonly KubernetesObject[]) =>
      [...ofKind(all, 'AutoscalingRunnerSet'), ...ofKind(all, 'Deployment')]
        .filter((object) => nameOf(object) !== 'bazel-remote')
        .map(({ metadata, ...object }) =>
          kind === 'github'
            ? metadata.annotations?.['actions.github.com/values-hash']
            : (object['spec'] as { template: { metadata: { annotations: Record<string, string> } } }).template.metadata
                .annotations['flywheel.dev/config-hash'],
        );
    const other = hashes(enrollmentObjects({ ...input, caBundle: `${caBundle}\n` }));
    expect(other.every((hash, index) => hash !== undefined && hash !== hashes(objects)[index])).toBe(true);
    expect(hashes(plain).some((hash) => hashes(objects).includes(hash))).toBe(false);
  });

  test('is in no ConfigMap but at GitHub, where ARC may read that one and the set names it', () => {
    expect(ofKind(plain, 'ConfigMap')).toEqual([]);
    const maps = ofKind(objects, 'ConfigMap');
    expect(maps.map((map) => [nameOf(map), map['data']])).toEqual(
      kind === 'github' ? [['cmux-forge-ca', { 'ca.crt': caBundle }]] : [],
    );
    if (kind !== 'github') return;
    const reads = { apiGroups: [''], resources: ['configmaps'], resourceNames: ['cmux-forge-ca'], verbs: ['get'] };
    for (const role of ofKind(objects, 'Role')) expect(role['rules']).toEqual([...managerRules, reads]);
    for (const set of ofKind(objects, 'AutoscalingRunnerSet'))
      expect(set['spec']).toMatchObject({
        githubServerTLS: { certificateFrom: { configMapKeyRef: { name: 'cmux-forge-ca', key: 'ca.crt' } } },
      });
    for (const set of ofKind(plain, 'AutoscalingRunnerSet')) expect(set['spec']).not.toHaveProperty('githubServerTLS');
  });
});

// ------------------------------------------------------------------------------------------------ secrets

describe.each(kinds)('A23: secrets of %s', (forge) => {
  const canaries = ['sentinel-private-key', 'sentinel-cache-token', 'sentinel-password', 'sentinel-app'].concat([
    'glrt-sentinel-token',
    'sentinel-token-1',
    'sentinel-token-2',
  ]);

  test('are in Secrets and nowhere else', () => {
    const objects = enrollmentObjects(wholeInput(forge));
    const text = JSON.stringify(objects.filter(({ kind }) => kind !== 'Secret'));
    expect(canaries.filter((canary) => text.includes(canary))).toEqual([]);
    const encoded = canaries.map((canary) => Buffer.from(canary).toString('base64').slice(0, 20));
    expect(encoded.filter((canary) => text.includes(canary))).toEqual([]);
    const secrets = JSON.stringify(ofKind(objects, 'Secret').map(decoded));
    expect(canaries.filter((canary) => secrets.includes(canary)).length).toBeGreaterThan(1);
  });

  test('are shown to nobody, though their names are', () => {
    const shown = enrollmentObjects(wholeInput(forge)).map(redacted);
    const text = JSON.stringify(shown.map((object) => ({ ...object, decoded: decoded(object) })));
    expect(canaries.filter((canary) => text.includes(canary))).toEqual([]);
    const data = ofKind(shown, 'Secret').map((object) => object['data']);
    expect(data).toContainEqual({ SENTINEL_KEY: sealedValue });
    // Four of them of the caches.
    expect(data.length).toBe(forge === 'forgejo' ? 7 : 6);
  });

  test('a value with a line’s end or a quote stays within its field (A16)', () => {
    const input = {
      ...cmux(),
      registration: { ...github, configUrl: 'https://x.example/a"\nkind: ClusterRoleBinding' },
    };
    const documents = enrollmentObjects(input).map((object) => stringify(object));
    expect(documents.filter((text) => /^kind: ClusterRoleBinding/m.test(text))).toEqual([]);
  });
});

// ------------------------------------------------------------------------------------------------ what an operator gave a pool

type Pod = { spec: { containers: { name: string; image: string; resources: unknown }[]; initContainers?: object[] } };

describe('a pool with a device and a pinned image', () => {
  const digest = `sha256:${'0a'.repeat(32)}`;
  const given = (kind: Kind): EnrollmentInput => {
    const input = cmuxAt(kind);
    const pools = input.pools.map((choice) => ({
      ...choice,
      pool: { ...choice.pool, imageDigest: digest, devices: { 'nvidia.com/gpu': 2 } },
    }));
    return { ...input, pools, tenant: { ...input.tenant, devices: { 'nvidia.com/gpu': 12, 'other.example/x': 0 } } };
  };
  const podOf = (object: KubernetesObject | undefined) =>
    (object as unknown as { spec: { template: Pod } }).spec.template.spec;

  test.each(kinds)('%s: the quota counts devices, and those that the tenant has none of as none', (kind) => {
    const [quota] = ofKind(enrollmentObjects(given(kind)), 'ResourceQuota');
    expect((quota as unknown as { spec: { hard: object } }).spec.hard).toMatchObject({
      'requests.nvidia.com/gpu': '12',
      'requests.other.example/x': '0',
    });
  });

  test('GitHub: the runner asks for it, and for no more than it', () => {
    const [set] = ofKind(enrollmentObjects(given('github')), 'AutoscalingRunnerSet');
    const [runner] = podOf(set).containers;
    expect(runner?.image).toBe(`ghcr.io/actions/actions-runner:2.333.0@${digest}`);
    const resources = { cpu: '2', memory: '4Gi', 'ephemeral-storage': '20Gi', 'nvidia.com/gpu': '2' };
    expect(runner?.resources).toEqual({ requests: resources, limits: resources });
  });

  test('Forgejo: the runner asks for it, and what brings its program along does not', () => {
    const [runner] = ofKind(enrollmentObjects(given('forgejo')), 'Deployment').filter((each) =>
      nameOf(each).endsWith('-forgejo'),
    );
    const { containers, initContainers = [] } = podOf(runner);
    expect(containers[0]?.image).toContain(digest);
    expect(JSON.stringify(containers)).toContain('nvidia.com/gpu');
    expect(JSON.stringify(initContainers)).not.toContain('nvidia.com/gpu');
  });

  test('GitLab: the job’s own container asks for it, by a patch of its pod, beside what reaches the caches', () => {
    const [secret] = ofKind(enrollmentObjects(given('gitlab')), 'Secret').filter((each) =>
      nameOf(each).endsWith('-gitlab'),
    );
    const text = (decoded(secret as KubernetesObject)['data'] as Record<string, string>)['config.toml'] ?? '';
    expect(text).toContain(digest);
    const { runners } = parse(text) as unknown as { runners: { kubernetes: { pod_spec: { patch: string }[] } }[] };
    const patch = runners[0]?.kubernetes.pod_spec[0]?.patch ?? '{}';
    expect(JSON.parse(patch)).toMatchObject({
      containers: [
        { name: 'build', resources: { requests: { 'nvidia.com/gpu': '2' }, limits: { 'nvidia.com/gpu': '2' } } },
      ],
    });
    expect(patch).toContain('envFrom');
  });
});

describe('a runner set that was taken over', () => {
  const template = {
    metadata: { labels: { own: 'label' } },
    spec: { containers: [{ name: 'runner', image: 'theirs' }] },
  };
  const [plain, ...rest] = cmux().pools;
  const adopted = { secretName: 'their-secret', runnerGroup: 'their-group', template };
  const input = { ...cmux(), pools: [{ ...(plain as PoolInput), adopted }, ...rest] };

  test('keeps what another value of would make its runners anew, and its sizes are ours', () => {
    const [set, other] = ofKind(enrollmentObjects(input), 'AutoscalingRunnerSet');
    expect(set?.['spec']).toEqual({
      githubConfigUrl: github.configUrl,
      githubConfigSecret: 'their-secret',
      runnerGroup: 'their-group',
      runnerScaleSetName: 'cmux-docker',
      minRunners: 0,
      maxRunners: 4,
      template,
    });
    expect(other?.['spec']).toMatchObject({ githubConfigSecret: 'cmux-github' });
  });

  test('bears the labels by which it is the portal’s', () => {
    const [set] = ofKind(enrollmentObjects(input), 'AutoscalingRunnerSet');
    expect(set?.metadata.labels).toMatchObject({
      'app.kubernetes.io/managed-by': 'flywheel',
      'flywheel.dev/pool': 'docker',
    });
  });
});

test('Forgejo: of the runners of a pool as many stand as its hour says, all of them registered', () => {
  const input = cmuxAt('forgejo');
  const replicas = (standing: number | undefined) => {
    const pools = input.pools.map((choice) => ({ ...choice, standing }));
    const runners = ofKind(enrollmentObjects({ ...input, pools }), 'Deployment').filter((each) =>
      nameOf(each).startsWith('cmux-docker'),
    );
    return runners.map((runner) => (runner['spec'] as { replicas: number }).replicas);
  };
  expect(replicas(undefined)).toEqual([1, 1, 1, 1]);
  expect(replicas(3)).toEqual([1, 1, 1, 0]);
  expect(replicas(0)).toEqual([0, 0, 0, 0]);
});
