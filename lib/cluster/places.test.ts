import { parse } from 'smol-toml';
import { describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { cpuMillicores, memoryBytes, scaleSetNameLengthMax } from '#lib/model/index.ts';
import { enrolled } from './fixtures/tenants.ts';
import { holdsPlace, poolObjects, type KubernetesObject, type PoolInput } from './index.ts';
import { jobSizes } from './gitlab-objects.ts';
import { placeImage, placePriority, placePriorityObject, placeSuffix } from './places.ts';

const about = `# What holds places for jobs at GitLab has this priority, below that of every other pod, so that a job that needs the room ends it. An
# operator applies it, as portal-rights.yaml; runner-pods.yaml says who may have it. It is written from lib/cluster/places.ts.
`;

test('what an operator applies is this object', async () => {
  const text = about + stringify(placePriorityObject(), { lineWidth: 0 });
  await expect(text).toMatchFileSnapshot('../../deploy/cluster/place-priority.yaml');
});

test('a pod of the longest label still bears the suffix: Kubernetes makes its name of the first 58 characters', () => {
  expect(scaleSetNameLengthMax + placeSuffix.length).toBeLessThanOrEqual(58);
});

const input = enrolled('gitlab', 'acme');
const [docker] = input.pools as [PoolInput];
const held = (minRunners: number, more: Partial<PoolInput> = {}) =>
  poolObjects(input, { ...docker, minRunners, maxRunners: 5, holdsPlaces: true, ...more });

function limits(objects: readonly KubernetesObject[]): unknown[] {
  const data = objects.find(({ kind }) => kind === 'Secret')?.['data'] as Record<string, string>;
  const config = parse(Buffer.from(data['config.toml'] ?? '', 'base64').toString());
  const [runner] = config['runners'] as { limit: number }[];
  return [config['concurrent'], runner?.limit];
}

type Place = {
  replicas: number;
  template: { metadata: KubernetesObject['metadata']; spec: Record<string, unknown> & { containers: object[] } };
};
const placesOf = (objects: readonly KubernetesObject[]) =>
  objects.filter((object) => object.kind === 'Deployment' && holdsPlace(object));
const place = (objects: readonly KubernetesObject[]) => placesOf(objects)[0]?.['spec'] as Place;

describe('places', () => {
  test.each([
    [0, 5],
    [2, 3],
    [4, 1],
    // Of a share of none nothing is left to hold, and no limit is none.
    [0, 1, 0],
  ])('%i of them leave %i jobs at once', (minRunners, jobs, maxRunners = 5) => {
    const objects = held(minRunners, { maxRunners });
    expect(place(objects).replicas).toBe(minRunners);
    expect(limits(objects)).toEqual([jobs, jobs]);
  });

  test('are there where there is a schedule, at GitLab, and else nothing is changed', () => {
    const plain = { ...docker, maxRunners: 5 };
    expect(placesOf(poolObjects(input, plain))).toEqual([]);
    expect(held(0).filter(({ metadata }) => !metadata.name.endsWith('-gitlab-place'))).toEqual(
      poolObjects(input, plain),
    );
    for (const kind of ['github', 'forgejo'] as const) {
      const [choice] = enrolled(kind, 'acme').pools as [PoolInput];
      expect(poolObjects(enrolled(kind, 'acme'), choice).filter(holdsPlace)).toEqual([]);
    }
  });

  test('are as large as a job, where jobs run, and give way to one', () => {
    const placement = {
      runtimeClass: 'gvisor',
      kernel: 'sandbox' as const,
      nodeSelector: { 'flywheel.dev/class': 'ci' },
      tolerations: [{ key: 'flywheel.dev/class' }],
    };
    const { template } = place(held(2, { pool: { ...docker.pool, placement, devices: { 'nvidia.com/gpu': 1 } } }));
    const { build, helper } = jobSizes(docker.pool);
    const size = { cpu: '2', memory: '4Gi', 'ephemeral-storage': '20Gi', 'nvidia.com/gpu': '1' };
    expect([build.cpu + helper.cpu, build.memory + helper.memory]).toEqual([
      cpuMillicores(size.cpu),
      memoryBytes(size.memory),
    ]);
    expect(template.spec).toMatchObject({
      priorityClassName: placePriority,
      terminationGracePeriodSeconds: 0,
      runtimeClassName: 'gvisor',
      nodeSelector: { 'flywheel.dev/class': 'ci' },
      tolerations: [{ key: 'flywheel.dev/class', operator: 'Exists' }],
      containers: [{ image: placeImage, resources: { requests: size, limits: size } }],
    });
    expect(place(held(2)).template.spec).toMatchObject({ hostUsers: false });
    // Metered as a runner that waits is.
    expect(template.metadata.labels).toMatchObject({
      'flywheel.dev/enrollment': 'acme',
      'flywheel.dev/pool': 'docker',
    });
  });
});
