import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { hclValue } from '#lib/cluster/hcl-text.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { namespacesOf } from '#lib/model/index.ts';
import type { Ctx } from '#lib/tenant/index.ts';
import { buildControlPlane } from '#sandbox/control-plane.ts';
import {
  buildKubernetesProvider,
  buildTofu,
  mirrorOf,
  runTofu,
  type Ran,
  type TofuOptions,
} from '#sandbox/opentofu.ts';
import { approvedScope } from '#sandbox/test-support/enrolled.ts';
import { testCluster } from '#sandbox/test-support/index.ts';
import { eventually, startTestPortal, type TestPortal } from '#sandbox/test-support/portal.ts';
import { approvePlan, exportTenant, makePlan, savePlanes, savePools, startEnrollment } from './index.ts';

/* The export of a tenant's part in its cluster, held to the real OpenTofu, its real provider and the real API server. */

let portal: TestPortal;
let folder: string;
let tools: { tofu: string; config: string; kubectl: (...args: string[]) => string; kubeconfig: string };

beforeAll(async () => {
  portal = await startTestPortal({ arc: true, runnersOf: ['export-gl', 'export-fj'] });
  folder = mkdtempSync(join(tmpdir(), 'flywheel-export-'));
  const { kubeconfigPath: kubeconfig } = await testCluster({ arc: true });
  const [tofu, provider, binary] = [await buildTofu(), await buildKubernetesProvider(), await buildControlPlane()];
  const kubectl = (...args: string[]) =>
    execFileSync(binary, ['kubectl', '--kubeconfig', kubeconfig, ...args], { encoding: 'utf8' });
  tools = { tofu, config: mirrorOf(provider, folder), kubectl, kubeconfig };
}, 900_000);
afterAll(async () => {
  await portal?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

async function ready(id: string): Promise<void> {
  await eventually(
    'the enrollment',
    async () => (await unsafeDb().enrollment.findUniqueOrThrow({ where: { id } })).readyAt,
    60_000,
  );
}

/** With a cache of each kind, and a pool more than one. */
async function github(slug: string): Promise<Ctx> {
  await portal.organization(slug);
  const ada = await portal.person('ada-tinyland');
  const tenant = { new: { slug, displayName: slug, kind: 'organization' as const } };
  const { enrollmentId } = await startEnrollment(ada, {
    connectionId: 'github',
    level: 'organization',
    path: slug,
    tenant,
  });
  const ctx = await portal.member('ada-tinyland', slug);
  const pools = ['docker', 'nix'].map((pool) => ({ pool, minRunners: 0, maxRunners: 1 }));
  await savePools(ctx, { enrollmentId, pools });
  await savePlanes(ctx, { enrollmentId, planes: { attic: { public: false }, bazel: { sizeGib: 20 } } });
  await approvePlan(ctx, await makePlan(ctx, { enrollmentId, kind: 'enroll' }));
  await ready(enrollmentId);
  return ctx;
}

async function other(forge: 'gitlab' | 'forgejo', slug: string): Promise<Ctx> {
  const at = {
    gitlab: { level: 'project' as const, path: 'tinyland/site', by: 'ada-tinyland' },
    forgejo: { level: 'repository' as const, path: 'JessSullivan/cmux', by: 'JessSullivan' },
  }[forge];
  const { ctx, id } = await approvedScope(portal, { forge, slug, ...at });
  await ready(id);
  return ctx;
}

const SecretList = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ namespace: z.string(), name: z.string() }),
      data: z.record(z.string(), z.string()).default({}),
    }),
  ),
});
type Secrets = z.infer<typeof SecretList>['items'];

function secretsOf(slug: string): Secrets {
  const selector = `app.kubernetes.io/managed-by=flywheel,flywheel.dev/tenant=${slug}`;
  const { items } = SecretList.parse(JSON.parse(tools.kubectl('get', 'secrets', '-A', '-l', selector, '-o', 'json')));
  // ARC keeps copies, labels and all, in its controller's namespace.
  return items.filter(({ metadata }) => Object.values(namespacesOf(slug)).includes(metadata.namespace));
}

/** As the recipe at the head of the file makes them. */
function valuesOf(secrets: Secrets): object {
  return {
    secrets: Object.fromEntries(secrets.map(({ metadata, data }) => [`${metadata.namespace}/${metadata.name}`, data])),
  };
}

type Found = {
  kind: string;
  metadata: Record<string, unknown> & { managedFields?: { manager?: string }[]; annotations?: Record<string, string> };
  status?: unknown;
};

/** What the portal applied, as it is there, but for what the API server counts by itself. */
function presentIn(slug: string): unknown[] {
  const kinds =
    'resourcequota,limitrange,networkpolicy,secret,configmap,serviceaccount,role,rolebinding,autoscalingrunnerset.actions.github.com,deployment,service,pvc';
  const found = Object.values(namespacesOf(slug)).flatMap((namespace) => {
    const list = JSON.parse(tools.kubectl('get', kinds, '-n', namespace, '-o', 'json', '--show-managed-fields')) as {
      items: Found[];
    };
    const own = tools.kubectl(
      'get',
      'namespace',
      namespace,
      '--ignore-not-found',
      '-o',
      'json',
      '--show-managed-fields',
    );
    return own === '' ? [] : [JSON.parse(own) as Found, ...list.items];
  });
  return found
    .filter(({ metadata }) => metadata.managedFields?.some(({ manager }) => manager === 'flywheel'))
    .map(({ metadata, status: _, ...rest }) => {
      const { resourceVersion: _version, managedFields: _fields, ...kept } = metadata;
      return rest.kind === 'AutoscalingRunnerSet'
        ? runnerSet({ ...rest, metadata: kept })
        : { ...rest, metadata: kept };
    });
}

/**
 * The provider writes what may be a number or a text as a number where it looks like one: a CPU of "2" is 2 then, which is the same
 * to who reads quantities. It counts as a generation, and the stand-in for ARC, which hashes what is written, notes it.
 */
function runnerSet({ metadata, ...rest }: Found): unknown {
  const { generation: _generation, annotations = {}, ...kept } = metadata;
  const { 'actions.github.com/change-hash': _hash, ...notes } = annotations;
  const asText = (key: string, value: unknown) => (key === 'cpu' ? String(value) : value);
  return JSON.parse(JSON.stringify({ ...rest, metadata: { ...kept, annotations: notes } }, asText)) as unknown;
}

const Plan = z.object({
  resource_changes: z.array(
    z.object({
      address: z.string(),
      change: z.object({
        actions: z.array(z.string()),
        importing: z.object({ id: z.string() }).optional(),
        before: z.object({ object: z.unknown() }).nullable(),
        after: z.object({ object: z.unknown() }).nullable(),
        after_unknown: z.looseObject({ object: z.unknown().optional() }).optional(),
      }),
    }),
  ),
});

const PlannedObject = z.looseObject({ metadata: z.looseObject({}) });

/** Labels and annotations are the cluster's too, and the provider tells them only once it has applied: see what is there then. */
function planned(object: unknown): unknown {
  const { metadata, ...rest } = PlannedObject.parse(object);
  const { labels: _labels, annotations: _annotations, ...known } = metadata;
  return { ...rest, metadata: known };
}

function ends(code: number, ran: Ran): Ran {
  expect(ran.code === code ? { code } : ran).toEqual({ code });
  return ran;
}

/** Any value of JSON, with a liking for what HCL reads in its own way. */
const marks = fc.constantFrom('$', '%', '{', '}', '"', '\\', 'u', '0', '\n', '~', 'a', ' ');
const words = fc.oneof(fc.string({ unit: marks, maxLength: 12 }), fc.string({ unit: 'binary', maxLength: 12 }));
const { value } = fc.letrec((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.oneof(words, fc.boolean(), fc.constant(null), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true })),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(words, tie('value'), { maxKeys: 3 }),
  ),
}));

/** As OpenTofu keeps texts (Unicode's form NFC), keys too. */
function composed(value: unknown): unknown {
  if (typeof value === 'string') return value.normalize('NFC');
  if (Array.isArray(value)) return value.map(composed);
  if (typeof value !== 'object' || value === null) return Object.is(value, -0) ? 0 : value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key.normalize('NFC'), composed(each)]));
}

test('whatever stands in an object is read by OpenTofu as it was written', async () => {
  const dir = mkdtempSync(join(folder, 'hcl-'));
  const sample = fc.sample(value, 500).map((each) => ({ each }));
  writeFileSync(join(dir, 'main.tf'), `output "all" { value = ${hclValue(sample)} }\n`);
  const at = { dir, binary: tools.tofu };
  ends(0, await runTofu(at, ['apply', '-auto-approve']));
  const read = JSON.parse(ends(0, await runTofu(at, ['output', '-json', 'all'])).stdout) as unknown;
  expect(composed(read)).toEqual(composed(sample));
});

describe.each([
  ['GitHub, with both caches', 'export-gh', () => github('export-gh')],
  ['GitLab', 'export-gl', () => other('gitlab', 'export-gl')],
  ['Forgejo', 'export-fj', () => other('forgejo', 'export-fj')],
] as const)('a tenant of %s', (_, slug, enrol) => {
  let text: string;
  let secrets: Secrets;
  let at: TofuOptions;

  beforeAll(async () => {
    const worker = portal.startWorker();
    const ctx = await enrol();
    // From here on nobody but OpenTofu.
    await worker.stop();
    text = await (await exportTenant(ctx)).text();
    secrets = secretsOf(slug);
    const dir = mkdtempSync(join(folder, `${slug}-`));
    writeFileSync(join(dir, `${slug}.tf`), text);
    writeFileSync(join(dir, 'secrets.auto.tfvars.json'), JSON.stringify(valuesOf(secrets)));
    at = { dir, binary: tools.tofu, config: tools.config, env: { TF_VAR_kubeconfig: tools.kubeconfig } };
  }, 120_000);

  test('is exported without a value of any Secret', () => {
    const values = secrets.flatMap(({ data }) => Object.values(data));
    expect(values.length).toBeGreaterThan(0);
    // What is shorter may stand in it by chance: an App's number.
    const plain = values.map((value) => Buffer.from(value, 'base64').toString()).filter(({ length }) => length > 12);
    for (const value of [...values, ...plain]) expect(text).not.toContain(value);
  });

  test('is valid, takes over each object as it is, and then finds no change', async () => {
    ends(0, await runTofu(at, ['init']));
    ends(0, await runTofu(at, ['validate']));
    ends(0, await runTofu(at, ['plan', '-out=first']));
    const { resource_changes: changes } = Plan.parse(
      JSON.parse(ends(0, await runTofu(at, ['show', '-json', 'first'])).stdout),
    );
    const before = presentIn(slug);
    expect(before.length).toBe(changes.length);
    expect(changes.length).toBeGreaterThan(5);
    for (const { address, change } of changes) {
      const { actions, importing, before: was, after: is } = change;
      expect({ address, isImported: importing !== undefined }).toEqual({ address, isImported: true });
      expect([['no-op'], ['update']]).toContainEqual(actions);
      expect({ address, object: planned(is?.object) }).toEqual({ address, object: planned(was?.object) });
    }
    ends(0, await runTofu(at, ['apply', 'first']));
    expect(presentIn(slug)).toEqual(before);
    const again = ends(0, await runTofu(at, ['plan', '-detailed-exitcode']));
    expect(again.output).toContain('No changes');
    // Where something does differ, the plan says so.
    const patch = JSON.stringify({ spec: { hard: { pods: '1' } } });
    tools.kubectl('patch', 'resourcequota', 'flywheel', '-n', namespacesOf(slug).runners, '--type=merge', '-p', patch);
    const differs = ends(2, await runTofu(at, ['plan', '-detailed-exitcode']));
    expect(differs.output).toContain('1 to change');
  }, 180_000);

  test('wants every Secret’s values, and exactly those', async () => {
    const [first, ...rest] = secrets;
    if (!first) throw new Error('no Secret');
    writeFileSync(join(at.dir, 'secrets.auto.tfvars.json'), JSON.stringify(valuesOf(rest)));
    const { output } = ends(1, await runTofu(at, ['plan']));
    expect(output).toContain(`${first.metadata.namespace}/${first.metadata.name}`);
  });
});
