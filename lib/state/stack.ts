import { createHash } from 'node:crypto';
import { z } from 'zod';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { actorName, appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { withRoom } from './body.ts';
import { addVersion, lockStack, openState, sealState, standingOf } from './keep.ts';
import { stacksMost } from './limits.ts';
import { StackName } from './names.ts';
import { readSnapshot, withSerial } from './snapshot.ts';

/* What operators do with stacks. The door in front of each is an operator's. */

export const StackInput = z.strictObject({
  name: StackName,
  description: z.string().trim().max(300, 'is at most 300 characters').default(''),
});

export async function addStack(by: PersonCtx, { name, description }: z.infer<typeof StackInput>): Promise<void> {
  await unsafeTransaction(async (tx) => {
    if (await tx.stateStack.findUnique({ where: { name }, select: { id: true } }))
      throw invalidFields({ name: 'is taken' });
    if ((await tx.stateStack.count()) >= stacksMost)
      throw invalidFields({ name: `There are ${stacksMost} stacks at most.` });
    await tx.stateStack.create({
      data: { name, description, createdById: by.person.userId, createdBy: actorName(by) },
    });
    await appendAudit(tx, by, null, { action: 'state:add', target: `state/${name}`, after: { description } });
  });
}

export const ForceUnlockInput = z.strictObject({
  stack: StackName,
  lockId: z.string().min(1).max(200),
  reason: z.string().trim().min(5, 'says in a few words why').max(500, 'is at most 500 characters'),
});

/** Takes the lock away from who holds it; what they still send is then refused. Only the lock that was looked at. */
export async function forceUnlock(by: PersonCtx, input: z.infer<typeof ForceUnlockInput>): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const { id: stackId } = await lockStack(tx, input.stack);
    const row = await tx.stateLock.findUnique({ where: { stackId } });
    if (row?.lockId !== input.lockId)
      throw new AppError('conflict', {
        log: `state: lock ${input.lockId} is not held`,
        screen: {
          happened: row ? 'Meanwhile somebody else holds the lock.' : 'The lock was given back meanwhile.',
          todo: 'Look at the stack again.',
        },
      });
    await tx.stateLock.delete({ where: { stackId } });
    const told = { before: row.info, after: { reason: input.reason } };
    await appendAudit(tx, by, null, { action: 'state:force-unlock', target: `state/${input.stack}`, ...told });
  });
}

const VersionNumber = z.coerce
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1);
export const RollBackInput = z.strictObject({ stack: StackName, number: VersionNumber });

function cannot(happened: string, todo: string): AppError {
  return new AppError('conflict', { log: `state: ${happened}`, screen: { happened, todo } });
}

/**
 * Makes an earlier version the newest, under a serial above all that are kept, so that programs take it for newer. An
 * encrypted state carries its serial within as well, so only who has its key can do that.
 */
export async function rollBack(by: PersonCtx, { stack, number }: z.infer<typeof RollBackInput>): Promise<number> {
  const old = await versionRow(stack, number);
  if (!old.sealed) throw cannot('That version is empty.', 'Choose another.');
  const before = (await openState(old.stackId, old)).toString();
  if (old.isEncrypted && old.serial !== null)
    throw cannot(
      'That version is encrypted, and its serial with it.',
      'Download it and push it with the key: tofu state push.',
    );
  const found = readSnapshot(before);
  const { topSerial } = await unsafeTransaction((tx) => standingOf(tx, old.stackId, found.lineage));
  const serial = found.serial === null ? null : (topSerial ?? found.serial) + 1n;
  const body = Buffer.from(serial === null ? before : withSerial(before, serial));
  const state = await sealState(old.stackId, body);
  const md5 = createHash('md5').update(body).digest('base64');
  return unsafeTransaction(async (tx) => {
    const { id } = await lockStack(tx, stack);
    const standing = await standingOf(tx, id, found.lineage);
    if (standing.lockId !== null)
      throw cannot(
        'The state is locked: somebody works on it.',
        'Wait until it is unlocked, or take the lock away first.',
      );
    if (standing.topSerial !== topSerial)
      throw cannot('The state was written meanwhile.', 'Look at it, then try again.');
    const origin = {
      kind: 'rollback' as const,
      who: actorName(by),
      operation: null,
      credential: null,
      ofNumber: number,
    };
    const added = await addVersion(tx, id, standing, { state, snapshot: { ...found, serial }, md5, origin });
    const after = { version: added, of: number, serial: serial?.toString() ?? null };
    await appendAudit(tx, by, null, { action: 'state:roll-back', target: `state/${stack}`, after });
    return added;
  });
}

/** The row of a version with what is sealed; a stranger's stack and a number that there is not are one. */
export async function versionRow(stack: string, number: unknown) {
  const [name, count] = [StackName.safeParse(stack), VersionNumber.safeParse(number)];
  const row =
    name.success &&
    count.success &&
    (await unsafeDb().stateVersion.findFirst({ where: { stack: { name: name.data }, number: count.data } }));
  if (!row) throw notFound('This version');
  return row;
}

/** A version as it was sent, for an operator's disk. Reading it is told of in the audit: states hold secrets. */
export async function downloadState(by: PersonCtx, stack: string, number: string): Promise<Response> {
  const row = await versionRow(stack, number);
  if (!row.sealed) throw cannot('That version is empty.', 'Choose another.');
  const body = await withRoom(row.bytes, () => openState(row.stackId, row));
  const target = `state/${stack}`;
  await appendAudit(unsafeDb(), by, null, { action: 'state:download', target, after: { version: row.number } });
  return new Response(body, {
    headers: {
      'content-type': 'application/json',
      'content-disposition': `attachment; filename="${stack}-${row.number}.tfstate"`,
      'cache-control': 'no-store',
    },
  });
}
