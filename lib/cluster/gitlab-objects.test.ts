import fc from 'fast-check';
import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { cpuMillicores, memoryBytes } from '#lib/model/index.ts';
import { gitlabManagerRules, jobSizes } from './gitlab-objects.ts';
import type { RenderedPool } from './objects.ts';
import {
  poolObjects,
  type EnrollmentInput,
  type GitlabRegistration,
  type KubernetesObject,
  type PoolInput,
} from './manifests.ts';

const pool: RenderedPool = {
  name: 'nix',
  description: 'Nix builds',
  cpu: '4',
  memory: '8Gi',
  storage: '20Gi',
  image: 'ghcr.io/actions/actions-runner:2.333.0',
  securityClass: 'restricted',
};
const nix: PoolInput = { pool, scaleSetName: 'cmux-nix', minRunners: 0, maxRunners: 2 };

const token = 'glrt-the-token';

function cmux(more: Partial<EnrollmentInput> = {}): EnrollmentInput {
  return {
    tenant: { slug: 'cmux', quota: { cpu: '16', memory: '32Gi', runners: 8 }, hasBazel: false, managers: 1 },
    name: 'cmux',
    registration: {
      kind: 'gitlab',
      url: 'https://gitlab.example.org',
      runners: { 'flywheel-cmux-nix': { token } },
    },
    pools: [nix],
    cacheEnv: { ATTIC_TOKEN: 'the cache’s token' },
    ...more,
  };
}

function one(objects: readonly KubernetesObject[], kind: string): KubernetesObject {
  const found = objects.filter((object) => object.kind === kind);
  expect(found.length).toBe(1);
  return found[0] as KubernetesObject;
}

function configOf(objects: readonly KubernetesObject[]): string {
  const data = one(objects, 'Secret')['data'] as Record<string, string>;
  return Buffer.from(data['config.toml'] ?? '', 'base64').toString();
}

type Config = {
  concurrent: number;
  runners: [
    Record<string, unknown> & {
      kubernetes: Record<string, unknown> & { pod_spec: [{ patch: string; patch_type: string }] };
    },
  ];
};

function configIn(input: EnrollmentInput, choice = nix): Config {
  return parse(configOf(poolObjects(input, choice))) as unknown as Config;
}

type Mounting = { command: string[]; volumeMounts: object[] };

describe('a manager’s configuration', () => {
  test('is that of fixtures/gitlab-config.toml', async () => {
    const shown = configOf(poolObjects(cmux(), nix)).replace(token, '<sealed>');
    await expect(shown).toMatchFileSnapshot('fixtures/gitlab-config.toml');
  });

  test('lets a job choose its image, and nothing of its pod', () => {
    const { kubernetes } = configIn(cmux()).runners[0];
    expect(kubernetes).not.toHaveProperty('allowed_images');
    const overwrites = Object.entries(kubernetes).filter(([name]) => name.includes('overwrite'));
    expect(overwrites.length).toBe(7);
    expect(overwrites.filter(([, value]) => value !== '' && value !== false)).toEqual([]);
    expect(kubernetes).toMatchObject({
      namespace: 'runners-cmux',
      privileged: false,
      allow_privilege_escalation: false,
      cap_drop: ['ALL'],
      automount_service_account_token: false,
      service_account: 'cmux-nix-gitlab-job',
      pod_security_context: { run_as_non_root: true, run_as_user: 1001 },
    });
  });

  test('limits what runs at once, by both of its ways', () => {
    expect(configIn(cmux())).toMatchObject({ concurrent: 2, runners: [{ limit: 2 }] });
  });

  test('a pool of none has no manager, since 0 would be no limit', () => {
    const none = { ...nix, maxRunners: 0 };
    expect(configIn(cmux(), none)).toMatchObject({ concurrent: 1, runners: [{ limit: 1 }] });
    expect(one(poolObjects(cmux(), none), 'Deployment')).toMatchObject({ spec: { replicas: 0 } });
    expect(one(poolObjects(cmux(), nix), 'Deployment')).toMatchObject({ spec: { replicas: 1 } });
  });

  test('never rotates the token itself', () => {
    const flags = { FF_DISABLE_AUTOMATIC_TOKEN_ROTATION: true };
    expect(configIn(cmux()).runners[0]).toMatchObject({ token, feature_flags: flags });
  });

  test('gives jobs the cache from its Secret, and names none where there is none', () => {
    const patchOf = (input: EnrollmentInput) =>
      JSON.parse(configIn(input).runners[0].kubernetes.pod_spec[0].patch) as Record<string, unknown>;
    expect(patchOf(cmux())).toEqual({
      hostUsers: false,
      enableServiceLinks: false,
      securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ name: 'build', envFrom: [{ secretRef: { name: 'cmux-cache' } }] }],
    });
    expect(patchOf(cmux({ cacheEnv: {} }))).not.toHaveProperty('containers');
    expect(configOf(poolObjects(cmux(), nix))).not.toContain('the cache’s token');
  });

  test('A16: an image or a URL with quotes and line ends stays one value', () => {
    const evil = 'x"\n[[runners]]\nexecutor = "shell"\n';
    const input = cmux({
      registration: { kind: 'gitlab', url: evil, runners: { 'flywheel-cmux-nix': { token: evil } } },
    });
    const { runners } = configIn(input, { ...nix, pool: { ...pool, image: evil } });
    expect(runners.length).toBe(1);
    expect(runners[0]).toMatchObject({ url: evil, token: evil, executor: 'kubernetes', kubernetes: { image: evil } });
  });

  test('a runner that nobody registered is not rendered', () => {
    const input = cmux({ registration: { kind: 'gitlab', url: 'https://gitlab.example.org', runners: {} } });
    expect(() => poolObjects(input, nix)).toThrow('flywheel-cmux-nix is not registered');
  });
});

describe('the manager', () => {
  const withRunners = (runners: GitlabRegistration['runners']) =>
    cmux({ registration: { kind: 'gitlab', url: 'https://gitlab.example.org', runners } });
  const present = { token, name: 'flywheel-cmux-nix' };
  const next = { token: 'glrt-another', name: 'flywheel-cmux-nix.next' };

  test('is not replaced by another configuration, which it reads again, nor by a renewed cache token', () => {
    const inputs = [
      withRunners({ 'flywheel-cmux-nix': next }),
      withRunners({ 'flywheel-cmux-nix': { ...present, next } }),
      cmux({ cacheEnv: { ATTIC_TOKEN: 'another' } }),
    ];
    const deployment = (input: EnrollmentInput, choice = nix) => one(poolObjects(input, choice), 'Deployment');
    for (const input of inputs) expect(deployment(input)).toEqual(deployment(cmux()));
    expect(deployment(cmux(), { ...nix, maxRunners: 3 })).toEqual(deployment(cmux()));
  });

  test('finds its files in a folder that is mounted whole, its own id among them, since it can write none', () => {
    const objects = poolObjects(cmux(), nix);
    const { containers } = (one(objects, 'Deployment')['spec'] as { template: { spec: { containers: Mounting[] } } })
      .template.spec;
    const [{ command, volumeMounts } = { command: [], volumeMounts: [] }] = containers;
    expect(command).toContain('/flywheel/config/config.toml');
    expect(volumeMounts).toContainEqual({ name: 'config', mountPath: '/flywheel/config', readOnly: true });
    expect(JSON.stringify(volumeMounts)).not.toContain('subPath');
    const data = one(objects, 'Secret')['data'] as Record<string, string>;
    expect(Object.keys(data)).toEqual(['config.toml', '.runner_system_id']);
    expect(Buffer.from(data['.runner_system_id'] ?? '', 'base64').toString()).toMatch(/^r_[0-9a-zA-Z]{12}$/);
  });

  test('serves by both while one runner takes the other’s place, and runs no more jobs than were bought', () => {
    const config = configIn(withRunners({ 'flywheel-cmux-nix': { ...present, next } }));
    const { concurrent } = config;
    const runners: Record<string, unknown>[] = config.runners;
    expect(concurrent).toBe(2);
    expect(runners.map((runner) => runner.name)).toEqual([present.name, next.name]);
    expect(runners.map((runner) => runner.token)).toEqual([token, next.token]);
    const { name: _, token: __, ...rest } = config.runners[0];
    expect(runners[1]).toMatchObject(rest);
  });

  test('that is replaced all the same waits for its jobs, and the next one for it', () => {
    expect(one(poolObjects(cmux(), nix), 'Deployment')).toMatchObject({
      spec: { strategy: { type: 'Recreate' }, template: { spec: { terminationGracePeriodSeconds: 3600 } } },
    });
  });
});

describe('a job’s size', () => {
  const cpu = fc.integer({ min: 1, max: 100_000_000 }).map((millicores) => `${millicores}m`);
  const memory = fc.integer({ min: 1, max: 1_000_000 }).map((mebibytes) => `${mebibytes}Mi`);

  test('is the pool’s: helper and job together, neither of them more than that or less than nothing', () => {
    fc.assert(
      fc.property(cpu, memory, memory, (cpus, ram, storage) => {
        const { build, helper } = jobSizes({ ...pool, cpu: cpus, memory: ram, storage });
        expect(build.cpu + helper.cpu).toBe(cpuMillicores(cpus));
        expect(build.memory + helper.memory).toBe(memoryBytes(ram));
        expect(build.storage + helper.storage).toBe(memoryBytes(storage));
        for (const size of [build, helper])
          for (const share of Object.values(size)) expect(share).toBeGreaterThanOrEqual(0n);
        expect(build.memory).toBeGreaterThan(helper.memory);
      }),
    );
  });

  test('of a pool of 4 CPU and 8Gi leaves the job 3.5 and 7.5Gi', () => {
    expect(configIn(cmux()).runners[0].kubernetes).toMatchObject({
      cpu_request: '3500m',
      cpu_limit: '3500m',
      memory_request: '7680Mi',
      memory_limit: '7680Mi',
      ephemeral_storage_request: '19Gi',
      ephemeral_storage_limit: '19Gi',
      helper_cpu_limit: '500m',
      helper_memory_limit: '512Mi',
      helper_ephemeral_storage_limit: '1Gi',
    });
  });
});

describe('what a manager may', () => {
  test('is what the Kubernetes executor does, with no wildcard, no way to more and no list of Secrets', () => {
    const role = one(poolObjects(cmux(), nix), 'Role');
    expect(role['rules']).toEqual(gitlabManagerRules);
    const granted = gitlabManagerRules.flatMap((rule) =>
      rule.resources.flatMap((of) => rule.verbs.map((verb) => `${verb} ${of}`)),
    );
    expect(granted.filter((each) => /\*|escalate|bind|impersonate|nodes|roles|namespaces/.test(each))).toEqual([]);
    expect(granted).not.toContain('list secrets');
    expect(granted).not.toContain('create serviceaccounts');
    expect(one(poolObjects(cmux(), nix), 'RoleBinding')).toMatchObject({
      roleRef: { kind: 'Role', name: 'cmux-nix-gitlab' },
      subjects: [{ kind: 'ServiceAccount', name: 'cmux-nix-gitlab', namespace: 'runners-cmux' }],
    });
  });

  test('a job’s account is another, and has no binding', () => {
    const objects = poolObjects(cmux(), nix);
    const accounts = objects.filter(({ kind }) => kind === 'ServiceAccount').map(({ metadata }) => metadata.name);
    expect(accounts).toEqual(['cmux-nix-gitlab-job', 'cmux-nix-gitlab']);
    expect(JSON.stringify(one(objects, 'RoleBinding')['subjects'])).not.toContain('gitlab-job');
  });
});
