// npm run sandbox -- break CASE …   Brings about, in the running sandbox, what the portal's doctor is to find.
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { Kube, type Obj } from '#sandbox/arc/kube.ts';
import { asSystem } from '#sandbox/as-system.ts';
import type { Address } from '#sandbox/keepsakes.ts';

type Broken = { address: Address; args: string[] };
type Case = { usage: string; run: (broken: Broken) => Promise<string> };

const cases: Record<string, Case> = {
  quota: { usage: 'TENANT', run: fillQuota },
  image: { usage: 'POOL gone|crash|deprecated', run: spoilImage },
  placement: { usage: 'POOL', run: placeNowhere },
  version: { usage: 'VERSION', run: upgradeController },
  'scale-set': { usage: 'LABEL', run: deleteScaleSet },
  session: { usage: 'LABEL', run: holdSession },
  installation: { usage: 'ACCOUNT', run: suspend },
  listener: { usage: 'LABEL', run: stopListener },
  label: { usage: 'OWNER/REPOSITORY LABEL…', run: queueStray },
  finalizer: { usage: 'TENANT', run: holdPolicy },
};

export const breakUsage = Object.entries(cases)
  .map(([name, { usage }]) => `npm run sandbox -- break ${name} ${usage}`)
  .join('\n');

/** Brings it about and says what was done; throws with the usage where it cannot be. */
export async function breakSandbox(address: Address, [name = '', ...args]: string[]): Promise<string> {
  const found = cases[name];
  if (!found || args.length === 0) throw new Error(breakUsage);
  return found.run({ address, args });
}

function kube({ kubeconfig }: Address): Kube {
  if (!kubeconfig) throw new Error('This sandbox has no cluster of its own.');
  const config = new KubeConfig();
  config.loadFromFile(kubeconfig);
  return new Kube(config);
}

async function github({ github: url }: Address, method: string, path: string, body?: object): Promise<unknown> {
  const answer = await fetch(`${url}/_sandbox${path}`, {
    method,
    ...(body ? { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } } : {}),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`GitHub's stand-in refused: ${answer.status} ${text}`);
  return text === '' ? undefined : (JSON.parse(text) as unknown);
}

const lookAtAll = `update task set wakes = wakes + 1, due_at = now() where kind = 'enrollment'`;

/** What an operator enters, entered wrongly, and rolled out to all who have the pool. */
async function changePool(address: Address, pool: string, field: 'image' | 'placement', value: unknown): Promise<void> {
  const json = JSON.stringify(value);
  const { rowCount } = await asSystem(address.database, async (client) => {
    await client.query(
      'update enrollment_pool set definition = definition || jsonb_build_object($2::text, $3::jsonb) where pool_name = $1',
      [pool, field, json],
    );
    const to = field === 'image' ? `$2::jsonb #>> '{}'` : '$2::jsonb';
    return client.query(`update pool set ${field} = ${to} where name = $1`, [pool, json]);
  });
  if (rowCount !== 1) throw new Error(`There is no pool ${pool}.`);
}

type Template = { metadata?: object; spec: { containers: { image: string }[]; nodeSelector?: object } };
type RunnerSet = Obj & { spec: { template: Template }; status?: { phase?: string } };
type Runners = Obj & { spec: { ephemeralRunnerSpec: Template } };

async function listed<T extends Obj>(admin: Kube, plural: string): Promise<T[]> {
  return (await admin.call<{ items: T[] }>({ method: 'GET', path: `/apis/actions.github.com/v1alpha1/${plural}` }))
    .items;
}

const setsOf = (admin: Kube) => listed<RunnerSet>(admin, 'autoscalingrunnersets');

const rollOutMs = 30_000;

/** Until the portal and ARC have rolled out what the catalog has: a job that comes before would get a runner of before. */
async function rolledOut(address: Address, pool: string, isSo: (template: Template) => boolean): Promise<void> {
  const until = performance.now() + rollOutMs;
  const admin = kube(address);
  for (;;) {
    const sets = (await setsOf(admin)).filter(({ metadata }) => metadata.labels?.['flywheel.dev/pool'] === pool);
    const runners = await listed<Runners>(admin, 'ephemeralrunnersets');
    const made = ({ metadata: { uid } }: RunnerSet) =>
      runners.filter(({ metadata }) => metadata.ownerReferences?.some((owner) => owner.uid === uid));
    const isDone = (set: RunnerSet) =>
      isSo(set.spec.template) &&
      set.status?.phase === 'Running' &&
      made(set).every(({ spec }) => isSo(spec.ephemeralRunnerSpec));
    // Of several portals on one cluster, one is meant.
    if (sets.length === 0 || sets.some(isDone)) return;
    if (performance.now() > until) throw new Error(`The portal has not rolled out ${pool}.`);
    await asSystem(address.database, (client) => client.query(lookAtAll));
    await sleep(300);
  }
}

const podsMost = 40;

/** Pods that bear a tenant's labels and that no runner owns, as many as its quota takes. */
async function fillQuota({ address, args: [tenant = ''] }: Broken): Promise<string> {
  const admin = kube(address);
  const namespace = `runners-${tenant}`;
  const [set] = (await setsOf(admin)).filter(({ metadata }) => metadata.namespace === namespace);
  if (!set) throw new Error(`There is no runner set in ${namespace}.`);
  const { template } = set.spec;
  let made = 0;
  for (; made < podsMost; made += 1) {
    const metadata = { ...template.metadata, name: `left-behind-${made}`, namespace };
    const refused = await admin.create({ apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec } as Obj).then(
      () => null,
      (error: Error) => error.message,
    );
    if (refused?.includes('exceeded quota')) break;
    if (refused) throw new Error(refused);
  }
  return `${made} pods of nobody fill the quota of ${namespace}.`;
}

async function spoilImage({ address, args: [pool = '', how = ''] }: Broken): Promise<string> {
  if (!['gone', 'crash', 'deprecated'].includes(how)) throw new Error(breakUsage);
  const image = `ghcr.io/actions/actions-runner:${how}`;
  await changePool(address, pool, 'image', image);
  await rolledOut(address, pool, ({ spec }) => spec.containers[0]?.image === image);
  return `The catalog has ${image} for ${pool}.`;
}

async function placeNowhere({ address, args: [pool = ''] }: Broken): Promise<string> {
  await changePool(address, pool, 'placement', { nodeSelector: { 'flywheel.dev/class': 'nowhere' } });
  return `The catalog places ${pool} on nodes that there are not.`;
}

async function upgradeController({ address, args: [version = ''] }: Broken): Promise<string> {
  const metadata = { name: 'arc-gha-rs-controller', namespace: 'arc-systems' };
  const labels = { 'app.kubernetes.io/version': version };
  await kube(address).patch({ apiVersion: 'apps/v1', kind: 'Deployment', metadata }, { metadata: { labels } });
  return `The controller is ${version} now.`;
}

async function deleteScaleSet({ address, args: [label = ''] }: Broken): Promise<string> {
  await github(address, 'DELETE', `/scale-sets/${label}`);
  return `GitHub has no scale set ${label} any more.`;
}

async function holdSession({ address, args: [label = ''] }: Broken): Promise<string> {
  await github(address, 'POST', `/scale-sets/${label}/hold`, { owner: 'another-cluster-listener' });
  return `Another listener holds the session of ${label}.`;
}

async function suspend({ address, args: [account = ''] }: Broken): Promise<string> {
  const state = (await github(address, 'GET', '/state')) as {
    installations: Record<string, { id: number; accountId: number }>;
    orgs: Record<string, { id: number; login: string }>;
    users: Record<string, { id: number; login: string }>;
  };
  const owner = [...Object.values(state.orgs), ...Object.values(state.users)].find(({ login }) => login === account);
  const found = Object.values(state.installations).find(({ accountId }) => accountId === owner?.id);
  if (!found) throw new Error(`The App is not installed on ${account}.`);
  await github(address, 'POST', `/installations/${found.id}/suspend`);
  return `The installation ${found.id} on ${account} is suspended.`;
}

/** GitHub answers the listener with errors from now on, as it does to a key that was taken back. */
async function stopListener({ address, args: [label = ''] }: Broken): Promise<string> {
  const path = 'runnerscalesets/\\d+/(sessions|messages)';
  await github(address, 'POST', '/faults', { match: { path }, kind: 'status', status: 500, times: 1_000_000 });
  await github(address, 'POST', `/scale-sets/${label}/hold`, { owner: 'nobody' });
  return `No listener gets a session any more: DELETE ${address.github}/_sandbox/faults ends it.`;
}

async function queueStray({ address, args: [repository = '', ...labels] }: Broken): Promise<string> {
  const job = (await github(address, 'POST', '/jobs', { repository, labels })) as { id: number };
  return `Job ${job.id} of ${repository} waits for ${labels.join(', ')}.`;
}

/** A mark that nobody takes off, on a policy that is told to go. */
async function holdPolicy({ address, args: [tenant = ''] }: Broken): Promise<string> {
  const admin = kube(address);
  const metadata = { name: 'allow-dns', namespace: `runners-${tenant}` };
  const policy = { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata };
  await admin.patch(policy, { metadata: { finalizers: ['sandbox.example/hold'] } });
  await admin.delete(policy);
  return `NetworkPolicy ${metadata.name} of ${metadata.namespace} was told to go and is held.`;
}
