import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { dryRunObjects, type ClusterClient, type KubernetesObject } from '#lib/cluster/index.ts';
import { clusterClient } from '#sandbox/test-support/cluster.ts';
import { testCluster } from '#sandbox/test-support/index.ts';

/* The very text that `flywheel render` prints, given to the API server with nothing filled in. */

const root = fileURLToPath(new URL('../..', import.meta.url));

const documents = (credentials: string) => `
apiVersion: flywheel/v1
kind: Cluster
metadata: { name: main }
spec: { controller: { version: 0.14.2, namespace: arc-systems, serviceAccount: arc-gha-rs-controller } }
---
apiVersion: flywheel/v1
kind: Tenant
metadata: { name: printed }
spec: { kind: organization, cluster: main, quota: { cpu: '16', memory: 32Gi, runners: 8 } }
---
apiVersion: flywheel/v1
kind: Enrollment
metadata: { name: at-github, tenant: printed }
spec:
  scope: { forge: 'https://github.com', level: enterprise, path: printed }
  credentials: ${credentials}
  pools: [{ pool: docker, maxRunners: 2 }]
  planes: { attic: {}, bazel: { sizeGib: 30 } }
---
apiVersion: flywheel/v1
kind: Enrollment
metadata: { name: at-gitlab, tenant: printed }
spec:
  forge: gitlab
  scope: { forge: 'https://gitlab.example.org', level: group, path: printed }
  pools: [{ pool: nix, maxRunners: 1 }]
  planes: { bazel: { sizeGib: 20 } }
---
apiVersion: flywheel/v1
kind: Enrollment
metadata: { name: at-forgejo, tenant: printed }
spec:
  forge: forgejo
  scope: { forge: 'https://forgejo.example.org', level: organization, path: printed }
  pools: [{ pool: nix-heavy, maxRunners: 1 }]
`;

let client: ClusterClient;
beforeAll(async () => {
  client = clusterClient((await testCluster({ arc: true })).portalKubeconfigPath);
});

function printed(credentials: string): KubernetesObject[] {
  const input = documents(credentials);
  const text = execFileSync(process.execPath, ['lib/cli.ts', 'render', '-f', '-'], {
    cwd: root,
    input,
    encoding: 'utf8',
  });
  return parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
}

test.each(['{ appId: "12345", installationId: 67890 }', '{ token: <sealed> }'])(
  'is accepted as it is, strictly read, with %s',
  async (credentials) => {
    const objects = printed(credentials);
    expect(objects.filter(({ kind }) => kind === 'Secret').length).toBeGreaterThan(4);
    const changes = await dryRunObjects(client, objects);
    expect(changes.map(({ op }) => op)).toEqual(objects.map(() => '+'));
    // One cache for the tenant, as large as the largest that is asked for.
    const claims = objects.filter(({ kind }) => kind === 'PersistentVolumeClaim');
    expect(claims.map((claim) => claim['spec'])).toEqual([
      { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '30Gi' } } },
    ]);
  },
  60_000,
);
