import { createHash } from 'node:crypto';
import { namespacesOf } from '#lib/model/index.ts';
import { labels, type EnrollmentInput, type KubernetesObject } from './objects.ts';
import { bazelPorts, defaultDeny, namespace, networkPolicy, objectQuota } from './tenant-objects.ts';

const bazelRemoteImage = 'buchgr/bazel-remote-cache:v2.6.2';
const bazelUid = 65_532;

/** bazel-remote reads Apache's {SHA}; the password is 256 random bits, so the fast hash gives nothing away. */
function htpasswd(logins: readonly { user: string; password: string }[]): string {
  // A line that cannot be read drops the request that reads it, and every one after it (bazel-remote 2.6.2): none is written.
  for (const { user, password } of logins)
    if (!/^[A-Za-z0-9._-]{1,64}$/.test(user) || password === '') throw new TypeError('no login of a password file');
  if (new Set(logins.map(({ user }) => user)).size < logins.length)
    throw new TypeError('a login is twice in a password file');
  const hashOf = (password: string) => createHash('sha1').update(password).digest('base64');
  return logins.map(({ user, password }) => `${user}:{SHA}${hashOf(password)}\n`).join('');
}

const name = 'bazel-remote';

type Readers = NonNullable<EnrollmentInput['bazel']>['readers'];

function readersOf(readers: Readers): object[] {
  if (!readers) return [];
  if ('cidr' in readers) return [{ ipBlock: { cidr: readers.cidr } }];
  return [
    { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': readers.namespace } }, podSelector: {} },
  ];
}

/** Who may reach a tenant's cache: its own runners, wherever it has some, and readers whom the operator named. */
export function bazelIngress(slug: string, readers: Readers, hasBuilds: boolean): object[] {
  const { runners, dind } = namespacesOf(slug);
  const own = (hasBuilds ? [runners, dind] : [runners]).map((name) => ({
    namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': name } },
    podSelector: {},
  }));
  return [
    {
      from: [...own, ...readersOf(readers)],
      ports: bazelPorts.map((port) => ({ protocol: 'TCP', port })),
    },
  ];
}

/** Where the claim of a tenant's cache is. */
export function bazelClaim(slug: string): Pick<KubernetesObject, 'apiVersion' | 'kind' | 'metadata'> {
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', metadata: { name, namespace: namespacesOf(slug).bazel } };
}

/** One bazel-remote for the tenant in a namespace of its own: its content store knows no tenants (bazel-remote 2.6.2). */
export function bazelObjects(input: EnrollmentInput): KubernetesObject[] {
  if (!input.bazel) return [];
  const { slug } = input.tenant;
  const ns = namespacesOf(slug);
  const selector = { 'app.kubernetes.io/name': name };
  const metadata = { name, namespace: ns.bazel, labels: labels(slug, selector) };
  const storage = `${input.bazel.sizeGib}Gi`;
  return [
    namespace(ns.bazel, slug),
    {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { name: 'flywheel', namespace: ns.bazel, labels: labels(slug) },
      spec: {
        hard: {
          'limits.cpu': '4',
          'limits.memory': '4Gi',
          'limits.ephemeral-storage': '2Gi',
          pods: '2',
          'requests.storage': storage,
          persistentvolumeclaims: '1',
          services: '1',
          ...objectQuota(2),
          'services.loadbalancers': '0',
          'services.nodeports': '0',
        },
      },
    },
    defaultDeny(slug, ns.bazel),
    networkPolicy('allow-runners', slug, ns.bazel, {
      podSelector: { matchLabels: selector },
      policyTypes: ['Ingress'],
      ingress: bazelIngress(slug, input.bazel.readers, input.tenant.builds !== undefined),
    }),
    {
      apiVersion: 'v1',
      kind: 'Secret',
      type: 'Opaque',
      metadata: { ...metadata, name: 'bazel-remote-htpasswd' },
      data: { htpasswd: Buffer.from(htpasswd([input.bazel, ...input.bazel.also])).toString('base64') },
    },
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata,
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata,
      spec: {
        selector,
        ports: [
          { name: 'http', port: 8080, targetPort: 8080, protocol: 'TCP' },
          { name: 'grpc', port: 9092, targetPort: 9092, protocol: 'TCP' },
        ],
      },
    },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata,
      spec: {
        replicas: 1,
        strategy: { type: 'Recreate' },
        selector: { matchLabels: selector },
        template: {
          metadata: { labels: labels(slug, selector) },
          spec: {
            automountServiceAccountToken: false,
            enableServiceLinks: false,
            securityContext: {
              runAsNonRoot: true,
              runAsUser: bazelUid,
              runAsGroup: bazelUid,
              fsGroup: bazelUid,
              seccompProfile: { type: 'RuntimeDefault' },
            },
            containers: [
              {
                name,
                image: bazelRemoteImage,
                imagePullPolicy: 'Always',
                args: [
                  '--dir=/data',
                  `--max_size=${Math.max(1, Math.floor(input.bazel.sizeGib * 0.9))}`,
                  '--htpasswd_file=/etc/bazel-remote/htpasswd',
                  // Every login may write, so who may only read has none: see docs/decisions/2026-11-25-bazel-reads.md.
                  '--allow_unauthenticated_reads',
                  '--enable_endpoint_metrics',
                ],
                ports: [
                  { name: 'http', containerPort: 8080, protocol: 'TCP' },
                  { name: 'grpc', containerPort: 9092, protocol: 'TCP' },
                ],
                resources: {
                  requests: { cpu: '100m', memory: '256Mi', 'ephemeral-storage': '100Mi' },
                  limits: { cpu: '2', memory: '2Gi', 'ephemeral-storage': '1Gi' },
                },
                securityContext: {
                  allowPrivilegeEscalation: false,
                  readOnlyRootFilesystem: true,
                  capabilities: { drop: ['ALL'] },
                },
                readinessProbe: { httpGet: { path: '/status', port: 'http' }, periodSeconds: 10 },
                volumeMounts: [
                  { name: 'data', mountPath: '/data' },
                  { name: 'htpasswd', mountPath: '/etc/bazel-remote', readOnly: true },
                ],
              },
            ],
            volumes: [
              { name: 'data', persistentVolumeClaim: { claimName: name } },
              { name: 'htpasswd', secret: { secretName: 'bazel-remote-htpasswd' } },
            ],
          },
        },
      },
    },
  ];
}
