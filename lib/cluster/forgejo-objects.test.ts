import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  poolObjects,
  runnerNamesOf,
  type EnrollmentInput,
  type ForgejoRegistration,
  type KubernetesObject,
  type PoolInput,
} from './manifests.ts';

const nix: PoolInput = {
  pool: {
    name: 'nix',
    description: 'Nix builds',
    cpu: '4',
    memory: '8Gi',
    storage: '20Gi',
    image: 'ghcr.io/actions/actions-runner:2.333.0',
    securityClass: 'restricted',
  },
  scaleSetName: 'cmux-nix',
  minRunners: 0,
  maxRunners: 2,
};

const forgejo: ForgejoRegistration = {
  kind: 'forgejo',
  url: 'https://forgejo.example.org',
  runners: {
    'flywheel-cmux-nix-1': { uuid: 'the first uuid', token: 'the first token' },
    'flywheel-cmux-nix-2': { uuid: 'the second uuid', token: 'the second token' },
  },
  ephemeral: true,
};

function cmux(registration = forgejo): EnrollmentInput {
  return {
    tenant: { slug: 'cmux', quota: { cpu: '16', memory: '32Gi', runners: 8 }, hasBazel: false },
    name: 'cmux',
    registration,
    pools: [nix],
    cacheEnv: { ATTIC_TOKEN: 'the cache’s token' },
  };
}

type Deployment = KubernetesObject & {
  spec: {
    replicas: number;
    selector: { matchLabels: Record<string, string> };
    template: {
      metadata: { labels: Record<string, string>; annotations: Record<string, string> };
      spec: { containers: { command: string[] }[] };
    };
  };
};

const deployments = (input: EnrollmentInput, choice = nix) =>
  poolObjects(input, choice).filter(({ kind }) => kind === 'Deployment') as Deployment[];

const configs = (input: EnrollmentInput, choice = nix) =>
  poolObjects(input, choice)
    .filter(({ kind }) => kind === 'Secret')
    .map((secret) => Buffer.from((secret['data'] as Record<string, string>)['config.yml'] ?? '', 'base64').toString());

const hashes = (input: EnrollmentInput) =>
  deployments(input).map(({ spec }) => spec.template.metadata.annotations['flywheel.dev/config-hash']);

describe('a pool of Forgejo', () => {
  test('has a registration and a pod for each runner that may run at once', () => {
    expect(runnerNamesOf('forgejo', nix)).toEqual(Object.keys(forgejo.runners));
    const made = deployments(cmux());
    expect(made.map(({ metadata }) => metadata.name)).toEqual(['cmux-nix-1-forgejo', 'cmux-nix-2-forgejo']);
    expect(made.map(({ spec }) => spec.replicas)).toEqual([1, 1]);
    // No Deployment takes another's pod for its own.
    const [first, second] = made.map(({ spec }) => spec);
    const chosen = Object.entries(first?.selector.matchLabels ?? {});
    const takes = (labels: Record<string, string> = {}) => chosen.every(([key, value]) => labels[key] === value);
    expect([takes(first?.template.metadata.labels), takes(second?.template.metadata.labels)]).toEqual([true, false]);
  });

  test('runners that are metered bear their pool, tenant and enrollment', () => {
    for (const { spec } of deployments(cmux()))
      expect(spec.template.metadata.labels).toMatchObject({
        'app.kubernetes.io/managed-by': 'flywheel',
        'flywheel.dev/tenant': 'cmux',
        'flywheel.dev/enrollment': 'cmux',
        'flywheel.dev/pool': 'nix',
      });
  });

  test.each([
    ['https://codeberg.org', '30s'],
    ['https://forgejo.example.org', '2s'],
    ['https://codeberg.org.example.org', '2s'],
  ])('asks %s for jobs every %s', (url, interval) => {
    const [text] = configs(cmux({ ...forgejo, url }));
    expect(parse(text ?? '')).toMatchObject({ runner: { fetch_interval: interval } });
  });

  test('each knows its own registration, and runs one job at a time where it is', () => {
    const [first, second] = configs(cmux());
    expect(parse(first ?? '')).toEqual({
      log: { level: 'info' },
      runner: { capacity: 1, timeout: '432000s', shutdown_timeout: '3540s', fetch_interval: '2s' },
      cache: { enabled: false },
      container: { privileged: false, docker_host: '-', valid_volumes: [] },
      host: { workdir_parent: '/home/runner/_work' },
      server: {
        connections: {
          forge: {
            url: 'https://forgejo.example.org/',
            uuid: 'the first uuid',
            token: 'the first token',
            labels: ['cmux-nix:host'],
          },
        },
      },
    });
    expect(second).toContain('the second token');
    expect(second).not.toContain('the first token');
  });

  test('A16: a URL with quotes and line ends stays one value', () => {
    const evil = 'https://x"\nserver:\n  connections: {}\n# ';
    const [config] = configs(cmux({ ...forgejo, url: evil }));
    expect(parse(config ?? '')).toMatchObject({ server: { connections: { forge: { url: `${evil}/` } } } });
  });

  test('ends after a job where the server forgets it then, and goes on where it does not', () => {
    const commandOf = (ephemeral: boolean) =>
      deployments(cmux({ ...forgejo, ephemeral }))[0]?.spec.template.spec.containers[0]?.command;
    expect(commandOf(true)).toEqual([
      '/flywheel/bin/forgejo-runner',
      '--config',
      '/flywheel/config/config.yml',
      'one-job',
      '--wait',
    ]);
    expect(commandOf(false)?.at(-1)).toBe('daemon');
  });

  test('a new registration replaces that runner’s pod and no other', () => {
    const renewed = { ...forgejo.runners, 'flywheel-cmux-nix-2': { uuid: 'another uuid', token: 'another token' } };
    const [before, after] = [hashes(cmux()), hashes(cmux({ ...forgejo, runners: renewed }))];
    expect(after.map((hash, index) => hash === before[index])).toEqual([true, false]);
  });

  test('no runner is rendered that nobody registered, and a pool of none has none', () => {
    expect(() => poolObjects(cmux(), { ...nix, maxRunners: 3 })).toThrow('flywheel-cmux-nix-3 is not registered');
    expect(poolObjects(cmux(), { ...nix, maxRunners: 0 }).map(({ kind }) => kind)).toEqual(['ServiceAccount']);
  });
});

test('names of runners: none at GitHub, one a pool at GitLab, one a runner at Forgejo', () => {
  expect(runnerNamesOf('github', nix)).toEqual([]);
  expect(runnerNamesOf('gitlab', nix)).toEqual(['flywheel-cmux-nix']);
  expect(runnerNamesOf('forgejo', { ...nix, maxRunners: 1 })).toEqual(['flywheel-cmux-nix-1']);
});
