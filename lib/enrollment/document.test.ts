import { describe, expect, test } from 'vitest';
import { documentObjects } from './document.ts';

const cluster = (spec: object = {}) => ({
  apiVersion: 'flywheel/v1',
  kind: 'Cluster',
  metadata: { name: 'main' },
  spec,
});
const controller = { version: '0.14.2', namespace: 'arc-systems', serviceAccount: 'arc-gha-rs-controller' };
const tenant = {
  apiVersion: 'flywheel/v1',
  kind: 'Tenant',
  metadata: { name: 'cmux' },
  spec: { kind: 'organization', cluster: 'main', quota: { cpu: '32', memory: '64Gi', runners: 8 } },
};

function enrollment(name: string, spec: object): unknown {
  const metadata = { name, tenant: 'cmux' };
  return { apiVersion: 'flywheel/v1', kind: 'Enrollment', metadata, spec };
}

const github = enrollment('at-github', {
  scope: { forge: 'https://github.com', level: 'organization', path: 'cmux' },
  credentials: { appId: '12345', installationId: 67_890 },
  pools: [{ pool: 'docker', maxRunners: 2 }],
});
const gitlab = enrollment('at-gitlab', {
  forge: 'gitlab',
  scope: { forge: 'https://gitlab.example.org', level: 'group', path: 'cmux' },
  pools: [{ pool: 'nix', maxRunners: 2 }],
});
const forgejo = enrollment('at-forgejo', {
  forge: 'forgejo',
  scope: { forge: 'https://forgejo.example.org', level: 'organization', path: 'cmux' },
  pools: [{ pool: 'nix-heavy', maxRunners: 2 }],
});

const named = (values: unknown[]) => documentObjects(values).map(({ kind, metadata }) => `${kind} ${metadata.name}`);

describe('documents become objects', () => {
  test('at three forges, in one namespace whose quota has room for what manages the runners', () => {
    const objects = documentObjects([cluster({ controller }), tenant, github, gitlab, forgejo]);
    expect(objects.filter(({ kind }) => kind === 'Namespace').length).toBe(1);
    const of = (kind: string) => objects.filter((object) => object.kind === kind).map(({ metadata }) => metadata.name);
    expect(of('AutoscalingRunnerSet')).toEqual(['cmux-docker']);
    expect(of('Deployment')).toEqual(['cmux-nix-gitlab', 'cmux-nix-heavy-1-forgejo', 'cmux-nix-heavy-2-forgejo']);
    expect(objects.find(({ kind }) => kind === 'ResourceQuota')?.['spec']).toMatchObject({ hard: { pods: '9' } });
  });

  test('with every secret value sealed', () => {
    const secrets = documentObjects([cluster({ controller }), tenant, github, gitlab, forgejo]).filter(
      ({ kind }) => kind === 'Secret',
    );
    const values = secrets.flatMap((secret) => Object.values(secret['stringData'] as Record<string, string>));
    expect(values.length).toBe(7);
    expect(new Set(values)).toEqual(new Set(['<sealed>']));
  });

  test('with Secrets of their own for pools that are not trusted', () => {
    const pools = ['docker', 'nix'].map((pool) => ({ pool, maxRunners: 1 }));
    const mixed = enrollment('mixed', {
      forge: 'forgejo',
      scope: { forge: 'https://forgejo.example.org', level: 'organization', path: 'mixed' },
      pools,
      planes: { attic: {}, bazel: { sizeGib: 20 }, untrusted: ['docker'] },
    });
    const secrets = named([cluster(), tenant, mixed]).filter((each) => each.startsWith('Secret mixed-cache'));
    expect(secrets).toEqual(['', '-files', '-untrusted', '-untrusted-files'].map((end) => `Secret mixed-cache${end}`));
  });

  const withBazel = (name: string, maxRunners: number, sizeGib: number) =>
    enrollment(name, {
      forge: 'forgejo',
      scope: { forge: 'https://forgejo.example.org', level: 'organization', path: name },
      pools: [{ pool: 'docker', maxRunners }],
      planes: { bazel: { sizeGib } },
    });

  test('with one Bazel cache a tenant, whose disk is none of the runners’', () => {
    const storageOf = (values: unknown[]) => {
      const quotas = documentObjects([cluster(), tenant, ...values]).filter(({ kind }) => kind === 'ResourceQuota');
      const runners = quotas.find(({ metadata }) => metadata.namespace === 'runners-cmux');
      return (runners?.['spec'] as { hard: Record<string, string> } | undefined)?.hard['limits.ephemeral-storage'];
    };
    // 250 GiB, less the larger of both.
    expect(storageOf([withBazel('one', 1, 20), withBazel('two', 1, 50)])).toBe('200Gi');
  });

  test('of one tenant are held to its quota together', () => {
    const all = [cluster(), tenant, withBazel('one', 5, 20), withBazel('two', 5, 20)];
    expect(() => documentObjects(all)).toThrow(expect.objectContaining({ code: 'invalid' }));
    expect(() => documentObjects(all.slice(0, 3))).not.toThrow();
  });

  test('without a controller where nothing is at GitHub, and not where something is', () => {
    expect(named([cluster(), tenant, gitlab])).toContain('Deployment cmux-nix-gitlab');
    expect(() => documentObjects([cluster(), tenant, github])).toThrow('has no controller');
  });

  test('by a token where GitHub has one in place of an App', () => {
    const byToken = enrollment('big', {
      scope: { forge: 'https://github.com', level: 'enterprise', path: 'cmux' },
      credentials: { token: '<sealed>' },
      pools: [{ pool: 'docker', maxRunners: 2 }],
    });
    const secret = documentObjects([cluster({ controller }), tenant, byToken]).find(({ kind }) => kind === 'Secret');
    expect(secret).toMatchObject({ metadata: { name: 'big-github' }, stringData: { github_token: '<sealed>' } });
  });

  test.each([
    ['gitlab', { pool: 'nix', minRunners: 1, maxRunners: 2 }, 'must be 0 at GitLab'],
    ['forgejo', { pool: 'nix', minRunners: 1, maxRunners: 2 }, 'must be 0 at Forgejo'],
    ['forgejo', { pool: 'nix', maxRunners: 51 }, 'is at most 50 at Forgejo'],
  ])('not with what the runners of %s cannot be asked for: %j', (forge, choice, refusal) => {
    const roomy = { ...tenant, spec: { ...tenant.spec, quota: { cpu: '1000', memory: '2000Gi', runners: 500 } } };
    const level = forge === 'gitlab' ? 'group' : 'organization';
    const asked = enrollment('asked', {
      forge,
      scope: { forge: 'https://forge.example.org', level, path: 'cmux' },
      pools: [choice],
    });
    expect(() => documentObjects([cluster(), roomy, asked])).toThrow(refusal);
  });
});
