import { z } from 'zod';
import { unsafeTransaction } from '#lib/db/index.ts';
import type { AtScope, EnsuredRunner, Forge, ForgeRunner } from '#lib/forge/index.ts';
import { dropCredential, keepCredential, keptCredential, type KeptCredential } from './credentials.ts';
import type { PassScope } from './pass.ts';
import type { EnrollmentRow } from './rows.ts';

/*
 * A registration is renewed without a moment in which nothing serves: a successor is registered under another name and kept in
 * a row of its own, written to where the runner reads it, and waited for; once its forge has seen it, the former one is retired,
 * which lets its job end, and the successor takes its place. Each step can be done again: whatever a crash left is gone on with.
 */

/** `name` is what the forge calls it, where that is not the runner's own name: a successor keeps its own. */
export const KeptRunner = z.object({
  token: z.string(),
  uuid: z.string().nullable(),
  ephemeral: z.boolean().default(false),
  name: z.string().optional(),
});
export type KeptRunner = z.infer<typeof KeptRunner>;

/** What a runner serves by, and while it is renewed what will. */
export type HeldRunner = KeptRunner & { next?: KeptRunner | undefined };

/** No label has a dot, so that no other runner is called so. */
const successorSuffix = '.next';

export const runnerKind = (name: string) => `runner:${name}` as const;
const successorKind = (name: string) => runnerKind(`${name}${successorSuffix}`);

/** The runner that a name at the forge, or a row's, belongs to. */
export function runnerOf(name: string): string {
  return name.endsWith(successorSuffix) ? name.slice(0, -successorSuffix.length) : name;
}

export function parsedRunner({ value }: KeptCredential): KeptRunner {
  return KeptRunner.parse(JSON.parse(value));
}

export async function successorOf(row: EnrollmentRow, name: string): Promise<KeptCredential | null> {
  return keptCredential(row, successorKind(name));
}

/** A process that reads what it was given comes to its forge within a minute or two, and nothing tells us when. */
const lookMs = 10_000;
/** A job may take hours. */
const jobLookMs = 30_000;

export type At = { scope: PassScope; forge: Runners; at: AtScope; name: string; label: string };
type Runners = NonNullable<Forge['runners']>;

/** Beside the one that serves. Not while that one has a job at a forge that runs it in the runner itself: it would wait for it. */
export async function beginSuccession(
  { scope, forge, at, name, label }: At,
  held: KeptRunner,
  present: ForgeRunner,
): Promise<HeldRunner> {
  if (present.busy === true) {
    scope.lookAgain(jobLookMs);
    return held;
  }
  const other = held.name === `${name}${successorSuffix}` ? name : `${name}${successorSuffix}`;
  await scope.lease.check();
  const made = await forge.ensure({ ...at, name: other, labels: [label], known: null });
  scope.lookAgain(lookMs);
  return { ...held, next: await keepSuccessor(scope.row, name, other, made) };
}

async function keepSuccessor(
  row: EnrollmentRow,
  name: string,
  forgeName: string,
  { runner, secret, ephemeral }: EnsuredRunner,
): Promise<KeptRunner> {
  if (!secret) throw new Error(`no secret came with ${forgeName}`);
  const value: KeptRunner = { token: secret.token, uuid: secret.uuid, ephemeral, name: forgeName };
  const facts = { externalId: runner.id, expiresAt: secret.expiresAt };
  await keepCredential(row, successorKind(name), JSON.stringify(value), facts);
  return value;
}

/** One step further, where there is one to take: what is rendered now, and what comes after it at a later pass. */
export async function goOnWithSuccession(
  of: At,
  kept: KeptCredential,
  next: KeptCredential,
  there: readonly ForgeRunner[],
): Promise<HeldRunner> {
  const { scope, forge, at } = of;
  const successor = there.find(({ id }) => id === next.externalId);
  if (!there.some(({ id }) => id === kept.externalId)) return succeed(of, next);
  if (!successor) return renewSuccessor(of, kept, next);
  scope.lookAgain(lookMs);
  if (successor.status === 'online') {
    await scope.lease.check();
    const ended = await forge.retire({ ...at, id: kept.externalId ?? '' });
    if (!('busy' in ended)) return succeed(of, next);
  }
  return { ...parsedRunner(kept), next: parsedRunner(next) };
}

/** Somebody removed it, or it had a job and was forgotten with it, before the one that it should follow was gone. */
async function renewSuccessor(
  { scope, forge, at, name, label }: At,
  kept: KeptCredential,
  next: KeptCredential,
): Promise<HeldRunner> {
  const held = parsedRunner(next);
  const forgeName = held.name ?? name;
  await scope.lease.check();
  const made = await forge.ensure({ ...at, name: forgeName, labels: [label], known: next.externalId });
  scope.lookAgain(lookMs);
  const renewed = made.secret ? await keepSuccessor(scope.row, name, forgeName, made) : held;
  return { ...parsedRunner(kept), next: renewed };
}

/** The former one is gone: the successor's row takes the place of its row, both in one transaction. */
async function succeed({ scope: { row, lease }, name }: At, next: KeptCredential): Promise<HeldRunner> {
  await lease.check();
  await unsafeTransaction(async (tx) => {
    const { value, externalId, expiresAt } = next;
    await keepCredential(row, runnerKind(name), value, { externalId, expiresAt }, tx);
    await dropCredential(row, successorKind(name), tx);
  });
  return parsedRunner(next);
}
