import { parseAllDocuments } from 'yaml';
import { describe, expect, test } from 'vitest';
import { EnrollmentDocument, FlywheelDocument, TenantDocument } from './document.ts';

const yaml = `
apiVersion: flywheel/v1
kind: Cluster
metadata: { name: main }
spec: { controller: { version: 0.14.2, namespace: arc-systems, serviceAccount: arc-gha-rs-controller } }
---
apiVersion: flywheel/v1
kind: Tenant
metadata: { name: cmux }
spec: { kind: organization, cluster: main, quota: { cpu: "16", memory: 32Gi, runners: 8 } }
---
apiVersion: flywheel/v1
kind: Enrollment
metadata: { name: cmux, tenant: cmux }
spec:
  scope: { forge: "https://github.com", level: repository, path: JessSullivan/cmux }
  credentials: { appId: "12345", installationId: 67890 }
  pools:
    - { pool: docker, maxRunners: 4 }
    - { pool: nix, minRunners: 0, maxRunners: 2 }
  planes: { attic: {}, bazel: {} }
`;

type Doc = { [field: string]: Doc };
const documents = () => parseAllDocuments(yaml).map((document) => document.toJS() as Doc);
const [cluster, tenant, enrollment] = documents() as [Doc, Doc, Doc];
const kinds = { cluster, tenant, enrollment };

/** The document with one field set, or taken away: `spec.quota.cpu`. */
function changed(document: Doc, field: string, value: unknown): unknown {
  const copy = structuredClone(document);
  const parts = field.split('.');
  const last = parts.pop() ?? '';
  const within = parts.reduce<Doc>((at, part) => at[part] as Doc, copy);
  if (value === undefined) Reflect.deleteProperty(within, last);
  else Reflect.set(within, last, value);
  return copy;
}

describe('documents', () => {
  test('what is left out has the value that the form begins with', () => {
    expect(documents().map((document) => FlywheelDocument.safeParse(document).success)).toEqual([true, true, true]);
    expect(TenantDocument.parse(tenant).spec).toMatchObject({ default: false });
    expect(EnrollmentDocument.parse(enrollment).spec).toMatchObject({
      pools: [
        { pool: 'docker', minRunners: 0, maxRunners: 4 },
        { pool: 'nix', minRunners: 0, maxRunners: 2 },
      ],
      planes: { attic: { public: false }, bazel: { sizeGib: 20 } },
    });
    expect(EnrollmentDocument.parse(changed(enrollment, 'spec.planes', undefined)).spec.planes).toEqual({});
  });

  test('a managed customer is written with a hyphen', () => {
    const written = changed(tenant, 'spec.kind', 'managed-customer');
    expect(TenantDocument.parse(written).spec.kind).toBe('managed_customer');
  });

  test.each<[keyof typeof kinds, string]>([
    ['cluster', 'status'],
    ['cluster', 'metadata.labels'],
    ['cluster', 'spec.kubeconfig'],
    ['cluster', 'spec.controller.image'],
    ['tenant', 'metadata.namespace'],
    ['tenant', 'spec.state'],
    ['tenant', 'spec.quota.pods'],
    ['enrollment', 'metadata.namespace'],
    ['enrollment', 'spec.template'],
    ['enrollment', 'spec.scope.url'],
    ['enrollment', 'spec.credentials.privateKey'],
    ['enrollment', 'spec.planes.state'],
    ['enrollment', 'spec.planes.attic.name'],
    ['enrollment', 'spec.planes.bazel.image'],
    ['enrollment', 'spec.pools.0.podTemplate'],
  ])('A17: a field that there is not is refused (%s: %s)', (kind, field) => {
    expect(FlywheelDocument.safeParse(changed(kinds[kind], field, { privileged: true })).success).toBe(false);
  });

  test.each<[keyof typeof kinds, string, unknown]>([
    ['cluster', 'apiVersion', 'flywheel/v2'],
    ['cluster', 'kind', 'Secret'],
    ['cluster', 'metadata.name', '../main'],
    ['cluster', 'spec.controller.version', 'latest'],
    ['cluster', 'spec.controller.version', '0.14.2\n'],
    ['cluster', 'spec.controller.namespace', 'Arc'],
    ['cluster', 'spec.controller.serviceAccount', 'a'.repeat(64)],
    ['cluster', 'spec.atticUrl', 'not a url'],
    ['tenant', 'metadata.name', 'kube-system'],
    ['tenant', 'spec.kind', 'company'],
    ['tenant', 'spec.kind', undefined],
    ['tenant', 'spec.cluster', undefined],
    ['tenant', 'spec.quota', undefined],
    ['tenant', 'spec.quota.cpu', 16],
    ['tenant', 'spec.quota.cpu', '-1'],
    ['tenant', 'spec.quota.memory', '1Ei'],
    ['tenant', 'spec.quota.runners', -1],
    ['tenant', 'spec.quota.runners', Number.NaN],
    ['tenant', 'spec.parent', 'a b'],
    ['enrollment', 'metadata.tenant', undefined],
    ['enrollment', 'metadata.name', 'a"\nkind: ClusterRoleBinding'],
    ['enrollment', 'spec.scope.path', '../../x'],
    ['enrollment', 'spec.scope.level', 'planet'],
    ['enrollment', 'spec.credentials.appId', 12345],
    ['enrollment', 'spec.credentials.appId', 'a b'],
    ['enrollment', 'spec.credentials.installationId', '67890'],
    ['enrollment', 'spec.credentials.installationId', 0],
    ['enrollment', 'spec.credentials.installationId', 2 ** 53],
    ['enrollment', 'spec.pools', []],
    ['enrollment', 'spec.pools.1.pool', 'docker'],
    ['enrollment', 'spec.pools.1.minRunners', 3],
    ['enrollment', 'spec.planes.bazel.sizeGib', 0],
    ['enrollment', 'spec.planes.bazel.sizeGib', 10_001],
    ['enrollment', 'spec.planes.attic.public', 'yes'],
  ])('A16, A18: of a %s, %s cannot be %j', (kind, field, value) => {
    expect(FlywheelDocument.safeParse(changed(kinds[kind], field, value)).success).toBe(false);
  });

  test.each([null, undefined, 7, 'text', [], {}])('%j is no document', (value) => {
    expect(FlywheelDocument.safeParse(value).success).toBe(false);
  });

  test('what a document inherits from everything is not a field of it (A27)', () => {
    const dirty = JSON.parse('{"__proto__": {"default": true}, "kind": "Tenant"}') as object;
    expect(FlywheelDocument.safeParse(dirty).success).toBe(false);
    expect({}).not.toHaveProperty('default');
  });

  const without = (document: Doc, ...fields: string[]) =>
    fields.reduce((at, field) => changed(at, field, undefined) as Doc, document);
  const at = (forge: string, level: string, path: string) =>
    changed(changed(without(enrollment, 'spec.credentials'), 'spec.forge', forge) as Doc, 'spec.scope', {
      forge: 'https://forge.example.org',
      level,
      path,
    });

  test.each([
    ['gitlab', 'project', 'group/sub/project'],
    ['gitlab', 'group', 'group'],
    ['gitlab', 'instance', ''],
    ['forgejo', 'repository', 'owner/name'],
    ['forgejo', 'organization', 'org'],
    ['forgejo', 'account', 'person'],
  ])('an enrollment at %s of a %s has no credentials', (forge, level, path) => {
    const written = at(forge, level, path) as Doc;
    expect(EnrollmentDocument.parse(written).spec).toMatchObject({ forge, scope: { level } });
    const credentials = { appId: '1', installationId: 2 };
    expect(EnrollmentDocument.safeParse(changed(written, 'spec.credentials', credentials)).success).toBe(false);
  });

  test('a forge is GitHub unless it is said, and then may say what it acts by', () => {
    expect(EnrollmentDocument.parse(enrollment).spec.forge).toBe('github');
    expect(EnrollmentDocument.safeParse(without(enrollment, 'spec.credentials')).success).toBe(true);
  });

  test.each([
    ['github', 'group'],
    ['gitlab', 'organization'],
    ['forgejo', 'group'],
    ['gitea', 'organization'],
  ])('%s has no level %s, or is no forge', (forge, level) => {
    expect(EnrollmentDocument.safeParse(at(forge, level, 'name')).success).toBe(false);
  });

  test('a token is said to be there, and never written (A23)', () => {
    const token = (value: string) => changed(enrollment, 'spec.credentials', { token: value });
    expect(EnrollmentDocument.parse(token('<sealed>')).spec.credentials).toEqual({ token: '<sealed>' });
    expect(EnrollmentDocument.safeParse(token('ghp_0123456789')).success).toBe(false);
    const both = { token: '<sealed>', appId: '1', installationId: 2 };
    expect(EnrollmentDocument.safeParse(changed(enrollment, 'spec.credentials', both)).success).toBe(false);
  });

  test('a cluster without Actions Runner Controller is one', () => {
    expect(FlywheelDocument.safeParse(without(cluster, 'spec.controller')).success).toBe(true);
  });
});
