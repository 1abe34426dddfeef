import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseAllDocuments } from 'yaml';
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

  test('at GitHub only where the document says what it acts by', () => {
    const silent = enrollment('silent', {
      scope: { forge: 'https://github.com', level: 'organization', path: 'cmux' },
      pools: [{ pool: 'docker', maxRunners: 2 }],
    });
    expect(() => documentObjects([cluster({ controller }), tenant, silent])).toThrow('spec.credentials');
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

  const poolDocument = (name: string, spec: object) => ({
    apiVersion: 'flywheel/v1',
    kind: 'Pool',
    metadata: { name },
    spec: { cpu: '4', memory: '8Gi', image: 'ghcr.io/actions/actions-runner:2.333.0', ...spec },
  });
  const daemonImage = `moby/buildkit:v0.34.2-rootless@sha256:${'b1'.repeat(32)}`;
  const both = enrollment('at-github', {
    scope: { forge: 'https://github.com', level: 'organization', path: 'cmux' },
    credentials: { appId: '12345', installationId: 67_890 },
    pools: [
      { pool: 'docker', maxRunners: 2 },
      { pool: 'images', maxRunners: 2 },
    ],
  });

  test('with pools of the operator’s own, those with a daemon apart, and both within one quota', () => {
    const images = poolDocument('images', { securityClass: 'builds', daemonImage });
    const objects = documentObjects([cluster({ controller }), tenant, images, both]);
    const of = (kind: string) => objects.filter((object) => object.kind === kind);
    expect(of('Namespace').map(({ metadata }) => metadata.name)).toEqual(['runners-cmux', 'dind-cmux']);
    expect(of('AutoscalingRunnerSet').map(({ metadata }) => [metadata.namespace, metadata.name])).toEqual([
      ['runners-cmux', 'cmux-docker'],
      ['dind-cmux', 'cmux-images'],
    ]);
    expect(of('ResourceQuota').map(({ spec }) => (spec as { hard: Record<string, string> }).hard)).toMatchObject([
      { 'limits.cpu': '24', 'limits.memory': '48Gi', pods: '6' },
      { 'limits.cpu': '8', 'limits.memory': '16Gi', pods: '2' },
    ]);
  });

  test('with the clusters and pools that an operator imports, as they stand in the guide', () => {
    const page = readFileSync(join(import.meta.dirname, '../../docs/import.md'), 'utf8');
    const operators = [...page.matchAll(/^```yaml\n([^]*?)^```$/gm)]
      .flatMap(([, block = '']) => parseAllDocuments(block).map((each) => each.toJS() as { kind: string }))
      .filter(({ kind }) => ['Cluster', 'Pool'].includes(kind));
    expect(operators).toHaveLength(4);
    expect(named([...operators, tenant, gitlab])).toContain('Deployment cmux-nix-gitlab');
    const imageless = poolDocument('none', { image: undefined });
    expect(() => documentObjects([...operators, imageless, tenant, gitlab])).toThrow('image');
  });

  test.each([
    [{ securityClass: 'builds' }, 'no image of a rootless BuildKit'],
    [{ securityClass: 'dind', daemonImage }, 'no runtime class'],
    [
      { securityClass: 'dind', daemonImage, placement: { runtimeClass: 'kata' } },
      'does not state that its runtime class makes a virtual',
    ],
    [{ securityClass: 'builds', daemonImage: 'moby/buildkit:rootless' }, 'is an image with its digest'],
  ])('and not with one that lacks what its class needs: %j', (spec, refusal) => {
    const all = [cluster({ controller }), tenant, poolDocument('images', spec), both];
    expect(() => documentObjects(all)).toThrow(refusal);
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
