import { describe, expect, test } from 'vitest';
import { poolObjects, type EnrollmentInput, type PoolInput } from '#lib/cluster/index.ts';
import { gitlabConfig } from './config.ts';
import { jobPod, patched } from './job-pod.ts';

const nix: PoolInput = {
  pool: {
    name: 'nix',
    description: '',
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
const input: EnrollmentInput = {
  tenant: { slug: 'cmux', quota: { cpu: '16', memory: '32Gi', runners: 8 }, hasBazel: false },
  name: 'cmux',
  registration: {
    kind: 'gitlab',
    url: 'https://gitlab.example.org',
    runners: { 'flywheel-cmux-nix': { token: 'glrt-AbCd_efgh1234' } },
  },
  pools: [nix],
  cacheEnv: { ATTIC_TOKEN: 'token' },
};
const config = (choice = nix) => {
  const secret = poolObjects(input, choice).find(({ kind }) => kind === 'Secret')?.['data'] as Record<string, string>;
  return gitlabConfig(Buffer.from(secret['config.toml'] ?? '', 'base64').toString());
};
const job = {
  id: 7,
  name: 'build',
  url: 'https://gitlab.example/acme/app/-/jobs/7',
  projectId: 3,
  image: null,
  services: [],
  timeoutSeconds: 3600,
};

type Container = { name: string; resources: { limits?: Record<string, string> }; [field: string]: unknown };
const podOf = (more: Partial<typeof job> | { image: string; services: string[] } = {}) =>
  jobPod(config().runners[0], { ...job, ...more }) as unknown as {
    metadata: { name: string; labels: Record<string, string>; annotations: Record<string, string> };
    spec: { containers: Container[]; initContainers: Container[]; [field: string]: unknown };
  };

describe('the pod of a job', () => {
  test('bears the labels by which it is metered, and its own', () => {
    const { metadata } = podOf();
    expect(metadata.name).toMatch(/^runner-abcd-efg-project-3-concurrent-0-[0-9a-f]{8}$/);
    expect(metadata.labels).toMatchObject({
      'flywheel.dev/tenant': 'cmux',
      'flywheel.dev/enrollment': 'cmux',
      'flywheel.dev/pool': 'nix',
      'job.runner.gitlab.com/pod': metadata.name,
      'project.runner.gitlab.com/id': '3',
    });
    expect(metadata.annotations).toEqual({
      'job.runner.gitlab.com/id': '7',
      'job.runner.gitlab.com/name': 'build',
      'job.runner.gitlab.com/url': 'https://gitlab.example/acme/app/-/jobs/7',
    });
  });

  test('runs where its pool’s catalog says, on Linux', () => {
    const placement = {
      runtimeClass: 'gvisor',
      nodeSelector: { class: 'restricted' },
      tolerations: [{ key: 'class', value: 'restricted', effect: 'NoSchedule' as const }, { key: 'dedicated' }],
    };
    const { spec } = jobPod(config({ ...nix, pool: { ...nix.pool, placement } }).runners[0], job) as unknown as {
      spec: object;
    };
    expect(spec).toMatchObject({
      runtimeClassName: 'gvisor',
      nodeSelector: { class: 'restricted', 'kubernetes.io/os': 'linux' },
      tolerations: [
        { key: 'class', operator: 'Equal', value: 'restricted', effect: 'NoSchedule' },
        { key: 'dedicated', operator: 'Exists' },
      ],
    });
    expect(podOf().spec).not.toHaveProperty('tolerations');
  });

  test('is as large as the pool, and has the configured patch', () => {
    const { spec } = podOf();
    expect(spec).toMatchObject({
      hostUsers: false,
      enableServiceLinks: false,
      automountServiceAccountToken: false,
      serviceAccountName: 'cmux-nix-gitlab-job',
      activeDeadlineSeconds: 3601,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: 1001,
        fsGroup: 1001,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    });
    expect(spec.containers.map(({ name, resources }) => [name, resources.limits])).toEqual([
      ['build', { cpu: '3500m', memory: '7680Mi', 'ephemeral-storage': '19Gi' }],
      ['helper', { cpu: '500m', memory: '512Mi', 'ephemeral-storage': '1Gi' }],
    ]);
    expect(spec.containers[0]).toMatchObject({
      image: 'ghcr.io/actions/actions-runner:2.333.0',
      envFrom: [{ secretRef: { name: 'cmux-cache' } }],
    });
    expect(spec.containers[1]).not.toHaveProperty('envFrom');
  });

  test('has the image and the services that the job names', () => {
    const { spec } = podOf({ image: 'alpine:3', services: ['postgres:18'] });
    expect(spec.containers.map(({ image }) => image)).toEqual([
      'alpine:3',
      expect.stringContaining('gitlab-runner-helper') as string,
      'postgres:18',
    ]);
  });
});

test('a strategic patch merges containers by name, adds new ones, and replaces other lists', () => {
  const before = { containers: [{ name: 'a', args: ['1'], x: 1 }, { name: 'b' }], list: [1], within: { c: 1, d: 2 } };
  const patch = { containers: [{ name: 'a', args: ['2'] }, { name: 'c' }], list: [2], within: { d: 3 } };
  expect(patched(before, patch)).toEqual({
    containers: [{ name: 'a', args: ['2'], x: 1 }, { name: 'b' }, { name: 'c' }],
    list: [2],
    within: { c: 1, d: 3 },
  });
});
