import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import type { ClusterClient, KubernetesObject } from '#lib/cluster/index.ts';
import { settingsOf } from '#lib/config/index.ts';
import type { AppError } from '#lib/errors.ts';
import { buildControlPlane } from '#sandbox/control-plane.ts';
import { buildKubeScore } from '#sandbox/kube-score.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { testCluster } from '#sandbox/test-support/index.ts';

/* The manifests that an operator applies, given to a real API server, and to kube-score. */

const here = import.meta.dirname;
const clustersDir = settingsOf({}).env?.FLYWHEEL_CLUSTERS_DIR ?? 'none';
const folder = mkdtempSync(join(tmpdir(), 'flywheel-deploy-'));
let kubectl: (args: string[], input?: string) => string;
let admin: ClusterClient;

beforeAll(async () => {
  const { kubeconfigPath } = await testCluster();
  const binary = await buildControlPlane();
  kubectl = (args, input = '') =>
    execFileSync(binary, ['kubectl', '--kubeconfig', kubeconfigPath, ...args], { input, encoding: 'utf8' });
  admin = clusterClient(kubeconfigPath);
  kubectl(['apply', '--server-side', '-f', '-'], [...foreign].map(customResource).join('---\n'));
  kubectl(['wait', '--for=condition=Established', '--timeout=60s', 'crd', ...foreign.keys()]);
}, 180_000);
afterAll(() => {
  kubectl?.(['delete', 'namespace', 'flywheel', '--ignore-not-found', '--wait=false']);
  rmSync(folder, { recursive: true });
});

/** What other projects bring, as far as their objects are named; what is in those is for their own schemas to say. */
const foreign = new Map([
  ['servicemonitors.monitoring.coreos.com', 'ServiceMonitor'],
  ['prometheusrules.monitoring.coreos.com', 'PrometheusRule'],
  ['httproutes.gateway.networking.k8s.io', 'HTTPRoute'],
]);

function customResource([name, kind]: [string, string]): string {
  const plural = name.slice(0, name.indexOf('.'));
  const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
  return JSON.stringify({
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    // The Gateway API's own group wants to be told that somebody approved.
    metadata: { name, annotations: { 'api-approved.kubernetes.io': 'unapproved, for a test' } },
    spec: {
      group: name.slice(plural.length + 1),
      names: { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` },
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    },
  }).concat('\n');
}

const host = 'portal.test';

/** An overlay of the components that are named, at a host of one’s own, as an operator would write it. */
function overlay(components: string[]): string {
  const copy = join(folder, 'deploy');
  cpSync(here, copy, { recursive: true, filter: (from) => !from.endsWith('.ts') });
  const file = join(copy, 'example/kustomization.yaml');
  const list = components.map((name) => `  - ../components/${name}\n`).join('');
  const text = readFileSync(join(here, 'example/kustomization.yaml'), 'utf8')
    .replace(/components:\n(?: {2}- .*\n)+/, `components:\n${list}`)
    .replaceAll('flywheel.example.org', host);
  writeFileSync(file, text);
  return kubectl(['kustomize', join(copy, 'example')]);
}

type Deployed = KubernetesObject & { spec: Record<string, unknown> };
const objectsOf = (text: string) => parseAllDocuments(text).map((document) => document.toJS() as Deployed);

type Container = { ports?: { name: string }[]; env?: { name: string; value: string }[] };
type Template = {
  metadata: { labels: Record<string, string> };
  spec: Record<string, unknown> & { containers: Container[]; terminationGracePeriodSeconds?: number };
};
function templatesOf(objects: readonly Deployed[]): [string, Template][] {
  return objects
    .filter(({ kind }) => kind === 'Deployment' || kind === 'Job')
    .map(({ metadata, spec }) => [metadata.name, (spec as { template: Template }).template]);
}

/** The same without what is called so, however deep it stands. */
function without<T>(value: T, name: string): T {
  return JSON.parse(JSON.stringify(value, (key, each: unknown) => (key === name ? undefined : each))) as T;
}

describe.each([
  ['the example', ['ingress', 'monitoring'], ['kind: Ingress', 'kind: ServiceMonitor']],
  ['with a Gateway, and clusters elsewhere', ['gateway', 'clusters'], ['kind: HTTPRoute', `mountPath: ${clustersDir}`]],
])('%s', (_, components, kinds) => {
  let text: string;
  beforeAll(() => {
    text = overlay(components);
  });

  test('is taken by the API server, strictly read, and nothing is left to do', async () => {
    for (const kind of [...kinds, `- ${host}`]) expect(text).toContain(kind);
    const others = objectsOf(text).filter(({ kind }) => kind !== 'ConfigMap');
    expect(JSON.stringify(others)).not.toContain('flywheel.example.org');
    const apply = ['apply', '--server-side', '--validate=strict', '-f', '-'];
    kubectl(apply, text);
    const again = kubectl([...apply, '--dry-run=server', '-o', 'json'], text);
    expect((JSON.parse(again) as { items: unknown[] }).items.length).toBe(objectsOf(text).length);
    // Controllers write what they find beside it, for a moment.
    await eventually('no difference', () => spawnSyncText(['diff', '--server-side', '-f', '-'], text) === '', 60_000);
    kubectl(['wait', '-n', 'flywheel', '--for=create', 'serviceaccount/default', '--timeout=60s']);
  }, 90_000);

  test('pods of its templates are admitted in a namespace that enforces Pod Security `restricted`', async () => {
    const templates = templatesOf(objectsOf(text));
    expect(templates.map(([name]) => name).toSorted()).toEqual(['flywheel-migrate', 'flywheel-web', 'flywheel-worker']);
    const path = '/api/v1/namespaces/flywheel/pods';
    const query = { dryRun: 'All', fieldValidation: 'Strict' };
    const asked = (name: string, { metadata, spec }: Template) =>
      admin.call(
        { method: 'POST', path, query, body: { apiVersion: 'v1', kind: 'Pod', metadata: { ...metadata, name }, spec } },
        name,
      );
    const rules = ['runAsNonRoot', 'seccompProfile', 'allowPrivilegeEscalation', 'capabilities'];
    for (const [name, template] of templates) {
      await expect(asked(name, template)).resolves.toMatchObject({ kind: 'Pod' });
      const refused = rules.map((rule) => asked(name, without(template, rule)).catch((error: AppError) => error.code));
      expect([name, ...(await Promise.all(refused))]).toEqual([name, ...rules.map(() => 'forbidden')]);
    }
  }, 60_000);

  test('kube-score has nothing to say', async () => {
    expect(await scored(objectsOf(text))).toEqual([]);
  }, 600_000);
});

/** What kube-score would have otherwise, as `check of kind/name`. */
async function scored(objects: readonly object[]): Promise<string[]> {
  const binary = await buildKubeScore();
  const args = ['score', '--kubernetes-version', 'v1.30', '--output-format', 'json', '-'];
  const input = objects.map((object) => JSON.stringify(object)).join('\n---\n');
  const { stdout, stderr } = spawnSync(binary, args, { input, encoding: 'utf8' });
  if (!stdout.startsWith('[')) throw new Error(stderr);
  type Score = { check: { id: string }; grade: number; skipped: boolean };
  type Scored = { type_meta: { kind: string }; object_meta: { name: string }; checks: Score[] };
  const found = JSON.parse(stdout) as Scored[];
  expect(found.length).toBeGreaterThan(0);
  const warning = 5;
  return found.flatMap(({ type_meta: { kind }, object_meta: { name }, checks }) =>
    checks
      .filter(({ grade, skipped }) => !skipped && grade <= warning)
      .map(({ check }) => `${check.id} of ${kind}/${name}`),
  );
}

function spawnSyncText(args: string[], input: string): string {
  try {
    return kubectl(args, input);
  } catch (error) {
    // As `diff` itself: 1 says that there is something.
    return (error as { stdout?: string }).stdout || String(error);
  }
}

describe('what is there then', () => {
  test('two of each, and the migration, by the cluster’s own controllers', async () => {
    const podsOf = (component: string) => {
      const selector = `app.kubernetes.io/component=${component}`;
      return kubectl(['get', 'pods', '-n', 'flywheel', '-l', selector, '-o', 'name']).split('\n').filter(Boolean)
        .length;
    };
    const counts = () => ['web', 'worker', 'migrate'].map(podsOf);
    await eventually('the pods', () => counts().every((count, index) => count >= [2, 2, 1][index]!), 60_000);
    // One more while an old one is replaced.
    expect(counts().every((count, index) => count <= [3, 3, 1][index]!)).toBe(true);
  }, 90_000);

  test('the owner’s URL is in the migration alone, and no secret’s value anywhere', () => {
    const objects = objectsOf(overlay(['ingress', 'monitoring', 'clusters']));
    expect(objects.filter(({ kind }) => kind === 'Secret')).toEqual([]);
    const naming = (word: string) =>
      templatesOf(objects)
        .filter(([, template]) => JSON.stringify(template).includes(word))
        .map(([name]) => name)
        .toSorted();
    expect(naming('flywheel-owner')).toEqual(['flywheel-migrate']);
    expect(naming('DATABASE_OWNER_URL')).toEqual(['flywheel-migrate']);
    expect(naming('flywheel-clusters-web')).toEqual(['flywheel-web']);
    expect(naming('flywheel-clusters-worker')).toEqual(['flywheel-worker']);
    expect(naming('"secretName":"flywheel"')).toEqual(['flywheel-web', 'flywheel-worker']);
    expect(naming('"automountServiceAccountToken":true')).toEqual(['flywheel-web', 'flywheel-worker']);
  });
});

describe('each rule', () => {
  let objects: Deployed[];
  beforeAll(() => {
    objects = objectsOf(overlay(['ingress', 'monitoring', 'gateway']));
  });
  const lacking = (kind: string) => objects.filter((object) => object.kind !== kind);

  test.each<[string, () => object[], string]>([
    ['a disruption budget', () => lacking('PodDisruptionBudget'), 'deployment-has-poddisruptionbudget'],
    ['network policies', () => lacking('NetworkPolicy'), 'pod-networkpolicy'],
    ['a Service behind the Ingress', () => lacking('Service'), 'ingress-targets-service'],
    ['a Deployment to scale', () => lacking('Deployment'), 'horizontalpodautoscaler-has-target'],
    ['room beside its like', () => without(objects, 'podAntiAffinity'), 'deployment-has-host-podantiaffinity'],
    ['resources', () => without(objects, 'resources'), 'container-resources'],
    ['a read-only tree', () => without(objects, 'readOnlyRootFilesystem'), 'container-security-context-readonlyroot'],
    ['a user of its own', () => without(objects, 'runAsUser'), 'container-security-context-user-group-id'],
    ['a probe of readiness', () => without(objects, 'readinessProbe'), 'pod-probes'],
    ['an image that is pulled', () => without(objects, 'imagePullPolicy'), 'container-image-pull-policy'],
  ])('is missed by kube-score: %s', async (_, taken, id) => {
    expect((await scored(taken())).join('\n')).toContain(id);
  });

  test('of the network lets each reach what it needs, and be reached by whom it serves', () => {
    const internet = ['out 0.0.0.0/0 but private 443', 'out 2000::/3 443'];
    const always = ['out kube-dns.kube-system 53', 'out 10.20.30.0/28 5432'];
    const api = ['out 10.20.0.10/32 443 6443'];
    const ways = { ingress: 'in ingress-nginx http', gateway: 'in gateways http', metrics: 'in monitoring metrics' };
    expect(flows(objects, 'web')).toEqual([...Object.values(ways), ...always, ...api, ...internet].toSorted());
    expect(flows(objects, 'worker')).toEqual([ways.metrics, ...always, ...api, ...internet].toSorted());
    expect(flows(objects, 'migrate')).toEqual(always.toSorted());
    expect(flows(objects, null)).toEqual([]);
  });

  test('of what is named elsewhere: Services, routes, scrapes and scaling mean what is there', () => {
    const one = (kind: string, name: string) => {
      const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
      if (!found) throw new Error(`${kind} ${name} is not there`);
      return found;
    };
    const spec = <T>(kind: string, name: string) => one(kind, name).spec as T;
    type Service = { selector: Record<string, string>; ports: { name: string; port: number; targetPort: string }[] };
    const behind = (name: string) => {
      const { selector, ports } = spec<Service>('Service', name);
      const pods = templatesOf(objects).filter(([, { metadata }]) => isIn(selector, metadata.labels));
      const portsOf = ([, template]: [string, Template]) => template.spec.containers.flatMap(({ ports: p = [] }) => p);
      return pods
        .filter((pod) => portsOf(pod).some((port) => port.name === ports[0]?.targetPort))
        .map(([pod]) => pod)
        .toSorted();
    };
    expect(behind('flywheel-web')).toEqual(['flywheel-web']);
    expect(behind('flywheel-metrics')).toEqual(['flywheel-web', 'flywheel-worker']);
    type Monitor = { selector: { matchLabels: Record<string, string> }; endpoints: { port: string }[] };
    const { selector, endpoints } = spec<Monitor>('ServiceMonitor', 'flywheel');
    const watched = objects.filter(
      ({ kind, metadata }) => kind === 'Service' && isIn(selector.matchLabels, metadata.labels ?? {}),
    );
    expect(watched.map(({ metadata }) => metadata.name)).toEqual(['flywheel-metrics']);
    expect(endpoints.map(({ port }) => port)).toEqual(
      spec<Service>('Service', 'flywheel-metrics').ports.map(({ name }) => name),
    );
    type Route = { rules: { backendRefs: { name: string; port: number }[] }[] };
    const refs = spec<Route>('HTTPRoute', 'flywheel-web').rules.flatMap(({ backendRefs }) => backendRefs);
    const [http] = spec<Service>('Service', 'flywheel-web').ports;
    expect(refs).toEqual([{ name: 'flywheel-web', port: http?.port }]);
    expect(spec('HorizontalPodAutoscaler', 'flywheel-web')).toMatchObject({
      scaleTargetRef: { kind: 'Deployment', name: 'flywheel-web' },
      minReplicas: 2,
    });
    expect(one('PrometheusRule', 'flywheel').metadata.namespace).toBe('flywheel');
  });

  test('of the time to go: what is under way may end, and then some', () => {
    for (const [name, { spec }] of templatesOf(objects).filter(([, each]) => each.spec.terminationGracePeriodSeconds)) {
      const drain = spec.containers[0]?.env?.find((each) => each.name === 'FLYWHEEL_DRAIN_SECONDS')?.value ?? '0';
      const underWay = 30;
      const left = (spec.terminationGracePeriodSeconds ?? 0) - Number(drain) - underWay;
      expect({ name, isEnough: left >= 10 }).toEqual({ name, isEnough: true });
    }
  });
});

const isIn = (part: Record<string, string>, whole: Record<string, string>) =>
  Object.entries(part).every(([key, value]) => whole[key] === value);

type Selector = {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: 'In'; values: string[] }[];
};
type Peer = { namespaceSelector?: Selector; podSelector?: Selector; ipBlock?: { cidr: string; except?: string[] } };
type Rule = { from?: Peer[]; to?: Peer[]; ports: { port: number | string }[] };
type Policy = { podSelector: Selector; policyTypes: string[]; ingress?: Rule[]; egress?: Rule[] };

/** What the policies let a pod of that component do, in words; of a pod that is none of them, with null. All else is refused. */
function flows(objects: readonly Deployed[], component: string | null): string[] {
  const [, template] = templatesOf(objects).find(([name]) => name === `flywheel-${component}`) ?? [];
  const labels = template?.metadata.labels ?? {};
  const policies = objects
    .filter(({ kind }) => kind === 'NetworkPolicy')
    .map(({ spec }) => spec as Policy)
    .filter(({ podSelector: { matchLabels = {}, matchExpressions = [] } }) => {
      return (
        isIn(matchLabels, labels) && matchExpressions.every(({ key, values }) => values.includes(labels[key] ?? ''))
      );
    });
  expect(new Set(policies.flatMap(({ policyTypes }) => policyTypes))).toEqual(new Set(['Ingress', 'Egress']));
  const all = policies.flatMap(({ ingress = [], egress = [] }) => [
    ...ingress.flatMap(({ from = [{}], ports }) => from.map((peer) => `in ${said(peer)} ${portsOf(ports)}`)),
    ...egress.flatMap(({ to = [{}], ports }) => to.map((peer) => `out ${said(peer)} ${portsOf(ports)}`)),
  ]);
  return all.toSorted();
}

const portsOf = (ports: Rule['ports']) => [...new Set(ports.map(({ port }) => port))].join(' ');

function said({ namespaceSelector, podSelector, ipBlock }: Peer): string {
  if (ipBlock) return ipBlock.except?.includes('10.0.0.0/8') ? `${ipBlock.cidr} but private` : ipBlock.cidr;
  const namespace = namespaceSelector?.matchLabels?.['kubernetes.io/metadata.name'] ?? 'anywhere';
  const pod = podSelector?.matchLabels?.['k8s-app'];
  return pod ? `${pod}.${namespace}` : namespace;
}
