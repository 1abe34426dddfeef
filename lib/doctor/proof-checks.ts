import { createHash, randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { signAtticToken, tryAtticToken } from '#lib/cache/index.ts';
import { atticServerOf } from '#lib/caching/index.ts';
import { bazelIngress, readObject, type ClusterClient, type ClusterView, type Observed } from '#lib/cluster/index.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import {
  atScope,
  bazelReadersOf,
  keptBazelAccess,
  keptCredential,
  openForgeFor,
  specOf,
  type EnrollmentRow,
} from '#lib/enrollment/index.ts';
import { atticViewName, namespacesOf, runnersNamespacesOf } from '#lib/model/index.ts';
import { enrollmentLabel } from '#lib/cluster/index.ts';
import type { CheckResult } from './proof-rows.ts';

/*
 * The checks of a proof but the job's (proof-route.ts). Each asks the other side itself, by what a runner holds, and once with
 * what must be refused; each says in words what was asked.
 */

export type Proving = { row: EnrollmentRow; view: ClusterView; now: Date; signal: AbortSignal };
type Said = Pick<CheckResult, 'state' | 'words'>;

const held = (words: string): Said => ({ state: 'held', words });
const broken = (words: string): Said => ({ state: 'broken', words });
const off = (words: string): Said => ({ state: 'off', words });
const instead = (words: string): Said => ({ state: 'instead', words });

async function credential({ row, signal }: Proving): Promise<Said> {
  const at = await atScope(row, signal);
  const where = row.path === '' ? row.connection.name : row.path;
  if (!at) return broken(`There is no credential for ${where}.`);
  const now = await (await openForgeFor(row)).observeScope(at);
  if (now.problem) return broken(now.problem.message);
  return held(
    `${row.connection.name} says that ${at.credential.kind === 'token' ? 'the token' : 'the App’s installation'} may register runners at ${where}.`,
  );
}

const minuteMs = 60_000;

async function attic({ row, now, signal }: Proving): Promise<Said> {
  if (!specOf(row)?.planes.attic) return off('No Attic view was asked for.');
  const server = await atticServerOf(row.tenant);
  const own = await keptCredential(row, 'attic-token');
  if (!server || !own) return broken('The runners have no token for their view.');
  const name = atticViewName(row.tenant.slug);
  const one = { server, name, signal };
  const mine = await tryAtticToken({ ...one, token: own.value });
  if (!mine.reads || !mine.pushes)
    return broken(`The view ${name} does not let the runners’ own token ${mine.reads ? 'push' : 'read'}.`);
  // Signed by the same key for another view: just what another tenant's runners hold.
  const { token } = await signAtticToken({
    key: server.key,
    subject: 'flywheel-proof',
    expiresAt: new Date(now.getTime() + minuteMs),
    caches: { [`proof-${randomBytes(6).toString('hex')}`]: { r: true, w: true } },
  });
  const theirs = await tryAtticToken({ ...one, token });
  const kept = await unsafeDb().cacheView.findFirst({ where: { tenantId: row.tenantId, plane: 'attic', name } });
  if (theirs.pushes) return broken(`The view ${name} lets another view’s token push.`);
  if (theirs.reads && kept?.isPublic !== true)
    return broken(`The view ${name} is private and lets another view’s token read.`);
  const read = kept?.isPublic === true ? 'It is public, so reading was not refused.' : 'Reading was refused to it too.';
  return held(
    `The view ${name} was read and may be pushed to with the runners’ own token; another view’s token was refused to push. ${read}`,
  );
}

// ------------------------------------------------------------------------------------------------ other namespaces

type Review = { status?: { allowed?: boolean } };
const accountsMost = 5;

/** What a runner would want of others, and no account of a tenant's may do. */
const deeds = [
  { verb: 'list', resource: 'secrets' },
  { verb: 'get', resource: 'configmaps' },
  { verb: 'create', resource: 'pods' },
  { verb: 'create', resource: 'pods', subresource: 'exec' },
] as const;

async function mayDo(
  client: ClusterClient,
  { namespace, account }: { namespace: string; account: string },
  target: string,
  deed: (typeof deeds)[number],
): Promise<boolean> {
  const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'];
  const user = `system:serviceaccount:${namespace}:${account}`;
  const body = {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    spec: { user, groups, resourceAttributes: { namespace: target, ...deed } },
  };
  const path = '/apis/authorization.k8s.io/v1/subjectaccessreviews';
  const answer = await client.call<Review>({ method: 'POST', path, body }, 'the question what a runner may do');
  return answer.status?.allowed === true;
}

async function isolation({ row, view }: Proving): Promise<Said> {
  const namespaces = runnersNamespacesOf(row.tenant.slug).filter((name) => isThere(view, name));
  const all = [...view.allIn(namespaces, 'ServiceAccount')].filter(
    ({ metadata }) => metadata.labels?.[enrollmentLabel] === row.name,
  );
  const accounts = all.slice(0, accountsMost);
  const targets = await otherNamespaces(row);
  for (const { metadata } of accounts) {
    for (const target of targets) {
      for (const deed of deeds) {
        const account = { namespace: metadata.namespace ?? '', account: metadata.name };
        if (await mayDo(view.client, account, target, deed))
          return broken(`The account ${metadata.name} of the runners may ${deed.verb} ${deed.resource} in ${target}.`);
      }
    }
  }
  const open = namespaces.find((namespace) => {
    const metadata = { name: 'default-deny', namespace };
    return !view.get({ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata });
  });
  if (open !== undefined) return broken(`The namespace ${open} has no network policy that denies by default.`);
  const names =
    accounts.length === 0 ? 'no account of their own' : accounts.map(({ metadata }) => metadata.name).join(', ');
  const others = all.length > accounts.length ? ` (${accounts.length} of ${all.length} accounts)` : '';
  return held(
    `The API server was asked for ${names}${others}: Secrets, ConfigMaps, pods and exec in ${targets.join(', ')} are refused. The policy default-deny is there.`,
  );
}

function isThere(view: ClusterView, name: string): boolean {
  return view.get({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }) !== undefined;
}

/** The controller's namespace, where copies of credentials are; the cluster's own; and another tenant's, where there is one. */
async function otherNamespaces(row: EnrollmentRow): Promise<string[]> {
  const { clusterId } = row.tenant;
  const { controllerNamespace } = await unsafeDb().cluster.findUniqueOrThrow({ where: { id: clusterId } });
  const other = await unsafeDb().enrollment.findFirst({
    where: { state: 'active', tenantId: { not: row.tenantId }, tenant: { clusterId } },
    include: { tenant: true },
  });
  return [controllerNamespace, 'kube-system', ...(other ? [namespacesOf(other.tenant.slug).runners] : [])];
}

// ------------------------------------------------------------------------------------------------ Bazel

/** As bazel-remote reads it: `user:{SHA}base64` (lib/cluster/bazel-objects.ts writes it). */
const entryOf = (user: string, password: string) =>
  `${user}:{SHA}${createHash('sha1').update(password).digest('base64')}`;

async function bazel({ row, view }: Proving): Promise<Said> {
  if (!specOf(row)?.planes.bazel) return off('No Bazel cache was asked for.');
  const access = await keptBazelAccess(row);
  const { bazel: namespace } = namespacesOf(row.tenant.slug);
  const secret = await readObject(view.client, {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'bazel-remote-htpasswd', namespace },
  });
  const lines = htpasswdOf(secret);
  if (!access || lines.length === 0) return broken('The Bazel cache has no login, or its namespace no htpasswd.');
  if (!lines.includes(entryOf(access.user, access.password)))
    return broken('The cache’s htpasswd does not know the runners’ login.');
  const known = [access, ...access.also].map(({ user, password }) => entryOf(user, password));
  if (lines.some((line) => !known.includes(line)))
    return broken('The cache’s htpasswd lets in a login that is not the tenant’s.');
  const way = view.get({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'allow-runners', namespace },
  });
  const { ingress } = (way?.['spec'] ?? {}) as { ingress?: unknown };
  const hasBuilds = isThere(view, namespacesOf(row.tenant.slug).dind);
  const wanted = bazelIngress(row.tenant.slug, await bazelReadersOf(row.tenant.clusterId), hasBuilds);
  if (!isDeepStrictEqual(ingress, wanted))
    return broken(
      'The policy that lets the runners, and whom the operator named, reach the cache is not as it should be.',
    );
  const deployment = view.get({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'bazel-remote', namespace },
  });
  const { availableReplicas = 0 } = (deployment?.status ?? {}) as { availableReplicas?: number };
  if (availableReplicas === 0) return broken('The Bazel cache does not run.');
  return instead(
    'The portal cannot reach the cache, by design. Instead: it runs; its htpasswd holds the runners’ login and no other’s; and the one policy that lets anybody in is for the runners’ namespace and whom the operator named, to the letter.',
  );
}

function htpasswdOf(secret: Observed | undefined): string[] {
  const data = (secret?.['data'] ?? {}) as Record<string, string>;
  return Buffer.from(data['htpasswd'] ?? '', 'base64')
    .toString()
    .split('\n')
    .filter(Boolean);
}

// ------------------------------------------------------------------------------------------------ all of them

const all: readonly [CheckResult['check'], (proving: Proving) => Promise<Said>][] = [
  ['credential', credential],
  ['attic', attic],
  ['isolation', isolation],
  ['bazel', bazel],
];

/** Each by itself: one that the other side does not answer is not held, and hinders no other. */
export async function runChecks(proving: Proving): Promise<CheckResult[]> {
  const results: CheckResult[] = [];
  for (const [check, ask] of all) {
    const said = await ask(proving).catch((error: unknown): Said => {
      if (!(error instanceof AppError)) throw error;
      return broken(`It could not be asked: ${error.screen.happened}`);
    });
    results.push({ check, ...said, at: proving.now.toISOString() });
  }
  return results;
}
