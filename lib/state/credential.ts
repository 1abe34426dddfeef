import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { type Prisma, unsafeDb, unsafeTransaction, type UnsafeTx } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { actorName, appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { lockStack } from './keep.ts';
import { bothSecretsMs, usedEveryMs } from './limits.ts';
import { CredentialName, StackName } from './names.ts';

/* What programs show to reach a stack: of one stack alone, kept as a hash, shown once. */

export const credentialsMost = 50;
const prefix = 'fws_';

/** 256 bits of chance: a plain hash of them cannot be searched, and needs no salt. */
function newSecret(): string {
  return `${prefix}${randomBytes(32).toString('base64url')}`;
}

function hashOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

function isSame(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}

// ------------------------------------------------------------------------------------------------ showing one

export type Shown = { stackId: string; stack: string; credentialId: string; credential: string; mayWrite: boolean };

/** HTTP's Basic scheme (RFC 7617); null where nothing of the kind was sent. */
function basicOf(header: string | null): { user: string; password: string } | null {
  const encoded = /^Basic ([\w+/=-]{1,1000})$/i.exec(header ?? '')?.[1];
  if (encoded === undefined) return null;
  const [, user, password] = /^([^:]*):(.*)$/s.exec(Buffer.from(encoded, 'base64').toString()) ?? [];
  return user === undefined || password === undefined ? null : { user, password };
}

type Row = Prisma.StateCredentialGetPayload<{ include: { stack: { select: { name: true } } } }>;

function isLive({ revokedAt, expiresAt }: Row, now: Date): boolean {
  return revokedAt === null && (expiresAt === null || now < expiresAt);
}

function opens(row: Row, password: string, now: Date): boolean {
  const hash = hashOf(password);
  const isBefore = row.previousUntil !== null && now < row.previousUntil;
  return isSame(row.secretHash, hash) || (isBefore && row.previousHash !== null && isSame(row.previousHash, hash));
}

/** Whose credential was shown for this stack; null for whatever else, be there such a stack or not. */
export async function authenticate(stack: string, authorization: string | null, now: Date): Promise<Shown | null> {
  const given = basicOf(authorization);
  if (!given || !StackName.safeParse(stack).success || !CredentialName.safeParse(given.user).success) return null;
  const row = await unsafeDb().stateCredential.findFirst({
    where: { name: given.user, stack: { name: stack } },
    include: { stack: { select: { name: true } } },
  });
  if (!row || !isLive(row, now) || !opens(row, given.password, now)) return null;
  if (row.usedAt === null || now.getTime() - row.usedAt.getTime() > usedEveryMs)
    await unsafeDb().stateCredential.update({ where: { id: row.id }, data: { usedAt: now } });
  const { id: credentialId, stackId, name: credential, mayWrite } = row;
  return { stackId, stack: row.stack.name, credentialId, credential, mayWrite };
}

/** Under the lock of its stack. Throws AppError('forbidden'). */
export async function refuseRevoked(tx: UnsafeTx, { credentialId, credential, stack }: Shown): Promise<void> {
  if (await tx.stateCredential.findFirst({ where: { id: credentialId, revokedAt: null }, select: { id: true } }))
    return;
  throw new AppError('forbidden', {
    log: `state: credential ${credential} of ${stack} was revoked meanwhile`,
    screen: { happened: `The credential ${credential} was revoked meanwhile.`, todo: 'Use another.' },
  });
}

// ------------------------------------------------------------------------------------------------ keeping them

export const NewCredentialInput = z.strictObject({
  stack: StackName,
  name: CredentialName,
  access: z.enum(['write', 'read']),
  days: z.enum(['90', '365', 'never']),
});
export const CredentialInput = z.strictObject({ stack: StackName, credentialId: z.guid() });

export type CredentialOnce = { name: string; secret: string };

const dayMs = 24 * 3_600_000;

async function audited(tx: UnsafeTx, by: PersonCtx, action: string, target: string, after?: object): Promise<void> {
  await appendAudit(tx, by, null, { action: `state:${action}`, target, after });
}

/** A new credential of a stack; its secret is answered this once. */
export async function addCredential(
  by: PersonCtx,
  { stack, name, access, days }: z.infer<typeof NewCredentialInput>,
  now: Date,
): Promise<CredentialOnce> {
  const secret = newSecret();
  const expiresAt = days === 'never' ? null : new Date(now.getTime() + Number(days) * dayMs);
  await unsafeTransaction(async (tx) => {
    const row = await lockStack(tx, stack);
    const own = await tx.stateCredential.findMany({ where: { stackId: row.id }, select: { name: true } });
    // A name that was revoked stays taken: the history tells of it.
    if (own.some((each) => each.name === name)) throw invalidFields({ name: 'is taken in this stack' });
    if (own.length >= credentialsMost) throw invalidFields({ name: `A stack has at most ${credentialsMost}.` });
    const data = { stackId: row.id, name, mayWrite: access === 'write', secretHash: hashOf(secret), expiresAt };
    await tx.stateCredential.create({ data: { ...data, createdBy: actorName(by) } });
    await audited(tx, by, 'credential-add', `state/${stack}/credential/${name}`, { access, expiresAt });
  });
  return { name, secret };
}

async function live(tx: UnsafeTx, { stack, credentialId: id }: z.infer<typeof CredentialInput>) {
  const { id: stackId } = await lockStack(tx, stack);
  const row = await tx.stateCredential.findFirst({ where: { id, stackId } });
  if (!row) throw notFound('This credential');
  if (row.revokedAt) throw isRevoked();
  return row;
}

function isRevoked(): AppError {
  return new AppError('conflict', {
    log: 'the credential is revoked',
    screen: { happened: 'This credential is revoked already.', todo: 'Add another.' },
  });
}

function hasExpired(): AppError {
  return new AppError('conflict', {
    log: 'the credential has expired',
    screen: { happened: 'This credential has expired: another secret of it would open nothing.', todo: 'Add another.' },
  });
}

/** A new secret, answered this once; the one before it counts for a day too, so that what runs comes to its end. */
export async function rotateCredential(
  by: PersonCtx,
  input: z.infer<typeof CredentialInput>,
  now: Date,
): Promise<CredentialOnce> {
  const secret = newSecret();
  return unsafeTransaction(async (tx) => {
    const { id, name, secretHash, expiresAt } = await live(tx, input);
    if (expiresAt !== null && expiresAt <= now) throw hasExpired();
    const previous = { previousHash: secretHash, previousUntil: new Date(now.getTime() + bothSecretsMs) };
    await tx.stateCredential.update({
      where: { id },
      data: { secretHash: hashOf(secret), ...previous, rotatedAt: now },
    });
    await audited(tx, by, 'credential-rotate', `state/${input.stack}/credential/${name}`);
    return { name, secret };
  });
}

/** At once and for good, the secret before a rotation too. */
export async function revokeCredential(
  by: PersonCtx,
  input: z.infer<typeof CredentialInput>,
  now: Date,
): Promise<void> {
  await unsafeTransaction(async (tx) => {
    const { id, name } = await live(tx, input);
    await tx.stateCredential.update({ where: { id }, data: { revokedAt: now } });
    await audited(tx, by, 'credential-revoke', `state/${input.stack}/credential/${name}`);
  });
}
