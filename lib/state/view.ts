import { unsafeDb, type Prisma } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { notFound } from '#lib/errors.ts';
import { stateDiff, type StateDiff } from './diff.ts';
import { openState } from './keep.ts';
import { stacksMost } from './limits.ts';
import { StackName } from './names.ts';
import { LockInfo } from './program.ts';
import { versionRow } from './stack.ts';

/* What operators see of stacks. */

export type LockView = {
  id: string;
  who: string;
  operation: string;
  toolVersion: string;
  credential: string;
  since: string;
};

export type StackRow = {
  name: string;
  description: string;
  versions: number;
  /** Null where nothing was ever written, or the stack was emptied. */
  newest: {
    number: number;
    serial: string | null;
    bytes: number;
    resources: number | null;
    at: string;
    by: string;
  } | null;
  lock: LockView | null;
};

type LockRow = { lockId: string; info: unknown; credential: string; createdAt: Date };

function lockView(row: LockRow | null): LockView | null {
  if (!row) return null;
  const info = LockInfo.parse(row.info);
  return {
    id: row.lockId,
    who: info.Who || 'somebody who gave no name',
    operation: info.Operation,
    toolVersion: info.Version,
    credential: row.credential,
    since: row.createdAt.toISOString(),
  };
}

const newestFirst = {
  orderBy: { number: 'desc' },
  omit: { sealed: true },
} as const;

export async function listStacks(): Promise<StackRow[]> {
  const rows = await unsafeDb().stateStack.findMany({
    include: { lock: true },
    orderBy: { name: 'asc' },
    take: stacksMost,
  });
  const newest = new Map((await newestVersions()).map((version) => [version.stackId, version]));
  return rows.map(({ id, name, description, lock }) => {
    const version = newest.get(id);
    return {
      name,
      description,
      versions: version?.number ?? 0,
      newest:
        version && version.kind !== 'purge'
          ? {
              number: version.number,
              serial: version.serial?.toString() ?? null,
              bytes: version.bytes,
              resources: version.resources,
              at: version.createdAt.toISOString(),
              by: version.who ?? version.credential ?? '',
            }
          : null,
      lock: lockView(lock),
    };
  });
}

type Newest = Pick<
  Prisma.StateVersionGetPayload<object>,
  'stackId' | 'number' | 'kind' | 'serial' | 'bytes' | 'resources' | 'createdAt' | 'who' | 'credential'
>;

/** One of each stack, by the index: a stack may have thousands. */
async function newestVersions(): Promise<Newest[]> {
  return unsafeDb().$queryRaw<Newest[]>`
    select newest.* from state_stack cross join lateral (
      select stack_id as "stackId", number, kind, serial, bytes, resources, created_at as "createdAt", who, credential
      from state_version where stack_id = state_stack.id order by number desc limit 1
    ) as newest`;
}

export type VersionRow = {
  number: number;
  kind: 'write' | 'rollback' | 'purge';
  ofNumber: number | null;
  serial: string | null;
  lineage: string | null;
  isEncrypted: boolean;
  bytes: number;
  resources: number | null;
  toolVersion: string | null;
  who: string | null;
  operation: string | null;
  credential: string | null;
  at: string;
};

export type CredentialRow = {
  id: string;
  name: string;
  mayWrite: boolean;
  createdBy: string;
  createdAt: string;
  usedAt: string | null;
  expiresAt: string | null;
  previousUntil: string | null;
  state: 'live' | 'expired' | 'revoked';
};

export type StackView = {
  name: string;
  description: string;
  createdBy: string;
  createdAt: string;
  lock: LockView | null;
  refusal: { text: string; at: string } | null;
  versions: VersionRow[];
  nextBefore: number | null;
  /** Of all that are kept. */
  count: number;
  credentials: CredentialRow[];
};

const versionsPage = 50;

/** One stack, its versions from `before` backwards. Throws AppError('not_found'). */
export async function stackView(name: string, now: Date, before?: number): Promise<StackView> {
  const past = before === undefined ? {} : { where: { number: { lt: before } } };
  const row =
    StackName.safeParse(name).success &&
    (await unsafeDb().stateStack.findUnique({
      where: { name },
      include: {
        lock: true,
        versions: { ...newestFirst, ...past, take: versionsPage + 1 },
        credentials: { orderBy: { createdAt: 'asc' }, omit: { secretHash: true, previousHash: true } },
        _count: { select: { versions: true } },
      },
    }));
  if (!row) throw notFound('This stack');
  const page = row.versions.slice(0, versionsPage);
  const iso = (at: Date | null) => at?.toISOString() ?? null;
  return {
    name: row.name,
    description: row.description,
    createdBy: row.createdBy,
    createdAt: row.createdAt.toISOString(),
    lock: lockView(row.lock),
    refusal: row.refusal && row.refusedAt ? { text: row.refusal, at: row.refusedAt.toISOString() } : null,
    versions: page.map(({ serial, createdAt, number, kind, ...rest }) => ({
      number,
      kind,
      serial: serial?.toString() ?? null,
      at: createdAt.toISOString(),
      ofNumber: rest.ofNumber,
      lineage: rest.lineage,
      isEncrypted: rest.isEncrypted,
      bytes: rest.bytes,
      resources: rest.resources,
      toolVersion: rest.toolVersion,
      who: rest.who,
      operation: rest.operation,
      credential: rest.credential,
    })),
    nextBefore: row.versions.length > versionsPage ? (page.at(-1)?.number ?? null) : null,
    count: row._count.versions,
    credentials: row.credentials.map(({ id, name: own, mayWrite, createdBy, createdAt, ...rest }) => ({
      id,
      name: own,
      mayWrite,
      createdBy,
      createdAt: createdAt.toISOString(),
      usedAt: iso(rest.usedAt),
      expiresAt: iso(rest.expiresAt),
      previousUntil: rest.previousUntil && now < rest.previousUntil ? iso(rest.previousUntil) : null,
      state: rest.revokedAt ? 'revoked' : rest.expiresAt && rest.expiresAt <= now ? 'expired' : 'live',
    })),
  };
}

export type DiffView = {
  /** Null where there was nothing before. */
  from: { number: number; at: string } | null;
  to: { number: number; at: string };
  /** Null where either is encrypted, or is of no format that could be read. */
  diff: StateDiff | null;
  isEncrypted: boolean;
};

/**
 * What differs between two versions of a stack: where none is named the newest, and the one before it. Throws
 * AppError('not_found').
 */
export async function diffView(stack: string, from: unknown, to: unknown): Promise<DiffView> {
  const now = await versionRow(stack, to ?? (await newestOf(stack)));
  const before = from ?? now.number - 1;
  const old = Number(before) === 0 ? null : await versionRow(stack, before);
  const isEncrypted = now.isEncrypted || old?.isEncrypted === true;
  const texts = isEncrypted ? null : [old ? await textOf(old) : null, await textOf(now)];
  const place = ({ number, createdAt }: typeof now) => ({ number, at: createdAt.toISOString() });
  return { from: old && place(old), to: place(now), diff: texts ? readDiff(texts) : null, isEncrypted };
}

async function newestOf(stack: string): Promise<number> {
  const { _max } = await unsafeDb().stateVersion.aggregate({
    where: { stack: { name: stack } },
    _max: { number: true },
  });
  return _max.number ?? 0;
}

async function textOf(row: { id: string; stackId: string; sealed: Uint8Array | null }): Promise<string | null> {
  return row.sealed === null ? null : (await openState(row.stackId, row)).toString();
}

function readDiff([before = null, after = null]: (string | null)[]): StateDiff | null {
  try {
    return stateDiff(before, after);
  } catch {
    return null;
  }
}

/** What goes into a configuration so that the programs keep its state here, as they are. The secret stays outside. */
export function backendBlock(stack: string): string {
  const address = `${env().PORTAL_URL}/api/state/${stack}`;
  return `terraform {
  backend "http" {
    address        = "${address}"
    lock_address   = "${address}/lock"
    lock_method    = "POST"
    unlock_address = "${address}/lock"
    unlock_method  = "DELETE"
  }
}
`;
}
