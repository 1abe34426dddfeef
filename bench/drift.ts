/**
 * P4: a NetworkPolicy of one of 1,000 tenants is deleted, and how long until it is there again: by the worker (watch, wake,
 * pass, apply), against a bare loop that watches one policy and applies it as soon as it hears of its end. Both are asked in
 * turn in the same world, and a watch of a third party tells when each is back.
 */
import type { Kube, Obj } from '#sandbox/arc/kube.ts';
import { pairs, print, quantile, say, until, type Options, type Sides } from './report.ts';
import type { Enrolled } from './tenants.ts';
import { isQuiet, readyWorld, tenantsUsual } from './thousand.ts';
import { startWorker } from './worker.ts';

const deletionsEach = 100;
const policyName = 'allow-dns';
const peerNamespace = 'bare-loop';
const policies = '/apis/networking.k8s.io/v1/networkpolicies';

type PolicyEvent = { type: string; object: Obj };

export async function driftRepair(options: Options): Promise<void> {
  const tenants = options.tenants ?? tenantsUsual;
  const { world, enrolled } = await readyWorld(tenants);
  const ending = new AbortController();
  const worker = await startWorker();
  await until('quiet', 120_000, isQuiet, 250);
  const returns = await observe(world.admin, ending.signal);
  await startBareLoop(world.admin, enrolled[0], ending.signal);
  const found: Sides[] = [];
  for (let run = 0; run < options.runs; run += 1) {
    const ours: number[] = [];
    const peer: number[] = [];
    for (let count = 0; count < deletionsEach; count += 1) {
      const tenant = enrolled[Math.floor(Math.random() * enrolled.length)];
      ours.push(await restoredMs(world.admin, returns, `runners-${tenant?.slug}`));
      peer.push(await restoredMs(world.admin, returns, peerNamespace));
    }
    found.push({ ours: quantile(ours, 0.99), peer: quantile(peer, 0.99) });
    const [mine, theirs] = [quantile(ours, 0.5), quantile(peer, 0.5)].map((ms) => ms.toFixed(1));
    say(`P4 run ${run + 1}: p50 ours ${mine} ms, bare loop ${theirs} ms`);
  }
  ending.abort();
  await worker.stop();
  print({ metric: 'P4', ...pairs(found), unit: 'ms, p99', deletions: deletionsEach * found.length, tenants });
}

/** Resolves when the policy of a namespace is there anew; told by a watch that neither side has a part in. */
type Returns = (namespace: string) => Promise<void>;

async function observe(admin: Kube, signal: AbortSignal): Promise<Returns> {
  const waiting = new Map<string, () => void>();
  // From now on: without a version, a watch begins by telling of all that is there.
  const { metadata } = await admin.call<Obj>({ method: 'GET', path: `${policies}?limit=1` });
  const path = `${policies}?watch=1&resourceVersion=${metadata.resourceVersion}`;
  const follow = async () => {
    for await (const line of admin.lines(path, signal)) {
      const { type, object } = JSON.parse(line) as PolicyEvent;
      const { name, namespace = '' } = object.metadata;
      if (type === 'ADDED' && name === policyName) waiting.get(namespace)?.();
    }
  };
  void follow().catch((error: unknown) => {
    if (!signal.aborted) say(`the watch broke: ${String(error)}`);
  });
  return (namespace) =>
    new Promise((resolve) => {
      waiting.set(namespace, () => {
        waiting.delete(namespace);
        resolve();
      });
    });
}

const policyIn = (namespace: string) => ({ kind: 'NetworkPolicy', metadata: { name: policyName, namespace } });

async function restoredMs(admin: Kube, returns: Returns, namespace: string): Promise<number> {
  const back = returns(namespace);
  const from = performance.now();
  await admin.delete(policyIn(namespace));
  await back;
  return performance.now() - from;
}

/** The least that can do it: one watch, and one server-side apply for each end that it tells of. */
async function startBareLoop(admin: Kube, like: Enrolled | undefined, signal: AbortSignal): Promise<void> {
  const model = await admin.get<Obj & { spec: object }>('NetworkPolicy', `runners-${like?.slug}`, policyName);
  if (!model) throw new Error('there is no policy to go by');
  const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: peerNamespace } };
  await admin.apply(namespace);
  const policy = {
    apiVersion: 'networking.k8s.io/v1',
    ...policyIn(peerNamespace),
    spec: model.spec,
  } as Obj;
  await admin.apply(policy);
  const path = `/apis/networking.k8s.io/v1/namespaces/${peerNamespace}/networkpolicies?watch=1`;
  const follow = async () => {
    for await (const line of admin.lines(path, signal))
      if ((JSON.parse(line) as PolicyEvent).type === 'DELETED') await admin.apply(policy);
  };
  void follow().catch((error: unknown) => {
    if (!signal.aborted) say(`the bare loop broke: ${String(error)}`);
  });
}
