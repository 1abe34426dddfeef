import { z } from 'zod';
import { unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, toAppError } from '#lib/errors.ts';
import { log } from '#lib/log.ts';
import { appendSystemAudit, type AuditEntry } from '#lib/tenant/index.ts';
import { admit } from './admit.ts';
import { checkedText, withBody, withRoom } from './body.ts';
import { authenticate, refuseRevoked, type Shown } from './credential.ts';
import { addVersion, lockStack, openState, sealState, standingOf } from './keep.ts';
import { lockInfoBytesMost, stateBytesMost } from './limits.ts';
import { readSnapshot } from './snapshot.ts';

/*
 * The HTTP backend of OpenTofu and Terraform, as both are. What they make of each answer is in
 * https://opentofu.org/docs/language/settings/backends/http/: an unlock must be answered 200, a lock that is held 423 with
 * the lock that is there, and of a refused write they show the status alone, which is why the stack remembers the words.
 */

/** Answers a request for a stack's state or, at `lock`, for its lock. The permission is the credential; it is asked for first. */
export async function answerProgram(
  request: Request,
  { stack, part, now }: { stack: string; part: 'state' | 'lock'; now: Date },
): Promise<Response> {
  const shown = await authenticate(stack, request.headers.get('authorization'), now);
  if (!shown) return unauthorized(stack);
  if (request.method === 'GET' && part === 'state') return readState(shown);
  if (!shown.mayWrite) throw readOnly(shown);
  if (part === 'lock') return request.method === 'DELETE' ? unlock(request, shown) : lock(request, shown);
  try {
    return await (request.method === 'DELETE' ? purge(request, shown) : write(request, shown));
  } catch (error) {
    await remember(shown, error, now);
    throw error;
  }
}

/** The same for a stack that there is and for one that there is not. */
function unauthorized(stack: string): Response {
  // As it was asked, and it may be anything.
  log().warn({ door: 'state', stack: stack.slice(0, 100) }, 'denied');
  const error = {
    happened: 'No credential of this stack was shown.',
    changed: 'Nothing was changed.',
    todo: 'Set TF_HTTP_USERNAME and TF_HTTP_PASSWORD to a credential of the stack that is neither revoked nor expired.',
  };
  const headers = { 'www-authenticate': 'Basic realm="state", charset="UTF-8"', 'cache-control': 'no-store' };
  return Response.json({ error }, { status: 401, headers });
}

function readOnly({ credential, stack }: Shown): AppError {
  return new AppError('forbidden', {
    log: `state: credential ${credential} of ${stack} may only read`,
    screen: {
      happened: `The credential ${credential} may only read this state.`,
      todo: 'Use one that may write; to plan without a lock, pass -lock=false.',
    },
  });
}

function answer(body: BodyInit | null, status: number, headers: Record<string, string> = {}): Response {
  return new Response(body, { status, headers: { 'cache-control': 'no-store, no-transform', ...headers } });
}

/** Programs show a person no more than a status of what went wrong: the stack's page says it in words. */
async function remember({ stackId, credential }: Shown, error: unknown, now: Date): Promise<void> {
  const { code, screen } = toAppError(error);
  if (code === 'internal' || code === 'unavailable') return;
  const refusal = `${screen.happened} Credential ${credential}.`.slice(0, 500);
  await unsafeDb().stateStack.update({ where: { id: stackId }, data: { refusal, refusedAt: now } });
}

async function audited(tx: UnsafeTx, { credential, stack }: Shown, entry: Omit<AuditEntry, 'target'>): Promise<void> {
  await appendSystemAudit(tx, null, { ...entry, target: `state/${stack}` }, `credential ${credential}`);
}

/** A credential that was revoked while its request arrived writes nothing: whoever revokes holds the same lock. */
async function lockFor(tx: UnsafeTx, shown: Shown): ReturnType<typeof lockStack> {
  const locked = await lockStack(tx, shown.stack);
  await refuseRevoked(tx, shown);
  return locked;
}

// ------------------------------------------------------------------------------------------------ state

async function readState({ stackId }: Shown): Promise<Response> {
  const row = await unsafeDb().stateVersion.findFirst({
    where: { stackId },
    select: { id: true, bytes: true, md5: true },
    orderBy: { number: 'desc' },
  });
  if (!row || row.bytes === 0) return answer(null, 204);
  const body = await withRoom(row.bytes, async () => {
    const { sealed } = await unsafeDb().stateVersion.findUniqueOrThrow({
      where: { id: row.id },
      select: { sealed: true },
    });
    return openState(stackId, { id: row.id, sealed });
  });
  const headers = { 'content-type': 'application/json', 'content-length': String(row.bytes), 'content-md5': row.md5 };
  return answer(body, 200, headers);
}

/** The programs' own name for the lock that they hold. */
function lockIdOf(request: Request): string | null {
  return new URL(request.url).searchParams.get('ID') || null;
}

function refused(why: string, todo: string): AppError {
  return new AppError('conflict', { log: `state: ${why}`, screen: { happened: why, todo } });
}

async function write(request: Request, shown: Shown): Promise<Response> {
  return withBody(request, stateBytesMost, async (body) => {
    const { text, md5 } = checkedText(body, request.headers.get('content-md5'));
    const snapshot = readSnapshot(text);
    const state = await sealState(shown.stackId, body);
    const lockId = lockIdOf(request);
    await unsafeTransaction(async (tx) => {
      const { id } = await lockFor(tx, shown);
      const standing = await standingOf(tx, id, snapshot.lineage);
      const admission = admit({ ...snapshot, md5, lockId }, standing);
      if (admission.kind === 'same') return;
      if (admission.kind === 'refuse') throw refused(admission.why, admission.todo);
      const origin = {
        ...(await workerOf(tx, id)),
        kind: 'write' as const,
        credential: shown.credential,
        ofNumber: null,
      };
      const number = await addVersion(tx, id, standing, { state, snapshot, md5, origin });
      const after = {
        version: number,
        serial: snapshot.serial?.toString() ?? null,
        bytes: body.length,
        who: origin.who,
      };
      await audited(tx, shown, { action: 'state:write', after });
    });
    return answer(null, 200);
  });
}

/** Who the held lock says is at work. */
async function workerOf(tx: UnsafeTx, stackId: string): Promise<{ who: string | null; operation: string | null }> {
  const row = await tx.stateLock.findUnique({ where: { stackId }, select: { info: true } });
  const info = LockInfo.safeParse(row?.info);
  return info.success
    ? { who: info.data.Who || null, operation: info.data.Operation || null }
    : { who: null, operation: null };
}

/** Empties the stack, as the programs ask when a workspace is deleted. Every version stays in the history. */
async function purge(request: Request, shown: Shown): Promise<Response> {
  const lockId = lockIdOf(request);
  await unsafeTransaction(async (tx) => {
    const { id: stackId } = await lockFor(tx, shown);
    const { number, latest, lockId: held } = await standingOf(tx, stackId, null);
    if (held !== lockId)
      throw refused(
        held === null ? `The lock ${lockId} is no longer held.` : `The state is locked by ${held}.`,
        'Wait until it is unlocked, then run again.',
      );
    if (!latest || latest.kind === 'purge') return;
    const data = {
      stackId,
      number: number + 1,
      kind: 'purge' as const,
      bytes: 0,
      md5: '',
      credential: shown.credential,
    };
    await tx.stateVersion.create({ data });
    await audited(tx, shown, { action: 'state:purge', after: { version: number + 1 } });
  });
  return answer(null, 200);
}

// ------------------------------------------------------------------------------------------------ lock

/** What a program tells of its lock; what else it may tell is not kept. */
export const LockInfo = z.object({
  ID: z.string().min(1).max(200),
  Operation: z.string().max(200).default(''),
  Info: z.string().max(2000).default(''),
  Who: z.string().max(300).default(''),
  Version: z.string().max(100).default(''),
  Created: z.string().max(100).default(''),
  Path: z.string().max(500).default(''),
});
export type LockInfo = z.infer<typeof LockInfo>;

async function lockInfoOf(request: Request): Promise<LockInfo> {
  return withBody(request, lockInfoBytesMost, async (body) => {
    const { text } = checkedText(body, request.headers.get('content-md5'));
    const result = LockInfo.safeParse(jsonOf(text));
    if (result.success) return result.data;
    throw new AppError('invalid', {
      log: 'state: no lock info',
      screen: {
        happened: 'What was sent names no lock.',
        todo: 'Terraform’s own force-unlock does not say which lock it means: an operator takes it away on the stack’s page.',
      },
    });
  });
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return null;
  }
}

/** Somebody else holds it: who, in the programs' own form, so that they can say so and wait. */
function held(info: unknown): Response {
  return answer(JSON.stringify(info), 423, { 'content-type': 'application/json' });
}

async function lock(request: Request, shown: Shown): Promise<Response> {
  const info = await lockInfoOf(request);
  return unsafeTransaction(async (tx) => {
    const { id: stackId } = await lockFor(tx, shown);
    const row = await tx.stateLock.findUnique({ where: { stackId } });
    // The same again is a request whose answer was lost.
    if (row) return row.lockId === info.ID ? answer(null, 200) : held(row.info);
    await tx.stateLock.create({ data: { stackId, lockId: info.ID, info, credential: shown.credential } });
    return answer(null, 200);
  });
}

async function unlock(request: Request, shown: Shown): Promise<Response> {
  const info = await lockInfoOf(request);
  return unsafeTransaction(async (tx) => {
    const { id: stackId, lastUnlockedId } = await lockFor(tx, shown);
    const row = await tx.stateLock.findUnique({ where: { stackId } });
    if (!row && lastUnlockedId === info.ID) return answer(null, 200);
    if (!row) throw refused('The state is not locked.', 'There is nothing to unlock.');
    if (row.lockId !== info.ID) return held(row.info);
    await tx.stateLock.delete({ where: { stackId } });
    await tx.stateStack.update({ where: { id: stackId }, data: { lastUnlockedId: info.ID } });
    // `tofu force-unlock` names the lock and nothing else; who took it tells all that it told before.
    if (info.Who === '' && info.Operation === '')
      await audited(tx, shown, { action: 'state:force-unlock', before: row.info, after: { by: 'force-unlock' } });
    return answer(null, 200);
  });
}
