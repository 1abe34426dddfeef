import { z } from 'zod';
import { unsafeDb, type Prisma, type UnsafeDb } from '#lib/db/index.ts';
import { TenantSlug } from '#lib/model/index.ts';
import { csvLine, download } from '#lib/csv.ts';
import { fieldChanges, type FieldChange } from './audit-diff.ts';
import type { Ctx } from './ctx.ts';
import { containing } from './same-text.ts';

/* The audit as people read it and take it away: filtered, in pages, as rows, as CSV and as JSON lines. */

const text = z.string().trim().max(200).catch('');
const day = z.iso.date().or(z.literal('')).catch('');

/** What the address says; a part that is no filter counts as none. Days are in UTC, the last included. */
export const AuditQuery = z.object({
  action: text.default(''),
  actor: text.default(''),
  target: text.default(''),
  from: day.default(''),
  to: day.default(''),
  /** Of the operators' page alone: a slug, or `-` for the records without a tenant. */
  tenant: TenantSlug.or(z.literal('-')).or(z.literal('')).catch('').default(''),
  /** The id of the last record of the page before this one. */
  before: z.guid().or(z.literal('')).catch('').default(''),
});
export type AuditQuery = z.infer<typeof AuditQuery>;

export type AuditRow = {
  id: string;
  /** Its number in the chain of its tenant. */
  number: string;
  at: string;
  actor: string;
  action: string;
  target: string;
  requestId: string | null;
  changes: FieldChange[];
  /** On the operators' page: whose it is, or null for nobody's. */
  tenant?: { slug: string; displayName: string } | null;
};

export type AuditPage = {
  rows: AuditRow[];
  nextId: string | null;
  /** What may be filtered for: actions of the newest records. */
  actions: string[];
};

const pageSize = 100;
const exportPageSize = 500;
const actionsFrom = 500;

const dayMs = 24 * 3600_000;

function whereOf({ action, actor, target, from, to }: AuditQuery): Prisma.AuditWhereInput {
  return {
    ...(action === '' ? {} : { action: containing(action) }),
    ...(actor === '' ? {} : { actor: containing(actor) }),
    ...(target === '' ? {} : { target: containing(target) }),
    at: {
      ...(from === '' ? {} : { gte: new Date(from) }),
      ...(to === '' ? {} : { lt: new Date(new Date(to).getTime() + dayMs) }),
    },
  };
}

type Reader = Pick<UnsafeDb, 'audit'>;
type AuditRecord = Prisma.AuditGetPayload<object>;

/** Newest first. Ids are UUIDs of version 7, so that an id is also a place in time. */
async function recordsOf(
  db: Reader,
  where: Prisma.AuditWhereInput,
  before: string,
  take: number,
): Promise<AuditRecord[]> {
  const past = before === '' ? {} : { id: { lt: before } };
  return db.audit.findMany({ where: { AND: [where, past] }, orderBy: { id: 'desc' }, take });
}

function rowOf({ id, seq, at, actor, action, target, before, after, requestId }: AuditRecord): AuditRow {
  const changes = fieldChanges(before, after);
  return { id, number: String(seq ?? ''), at: at.toISOString(), actor, action, target, requestId, changes };
}

async function pageOf(db: Reader, scope: Prisma.AuditWhereInput, query: AuditQuery, size = pageSize) {
  const where = { AND: [scope, whereOf(query)] };
  const [records, newest] = await Promise.all([
    recordsOf(db, where, query.before, size + 1),
    db.audit.findMany({ where: scope, orderBy: { id: 'desc' }, select: { action: true }, take: actionsFrom }),
  ]);
  const shown = records.slice(0, size);
  return {
    records: shown,
    nextId: records.length > size ? (shown.at(-1)?.id ?? null) : null,
    actions: [...new Set(newest.map(({ action }) => action))].toSorted(),
  };
}

/** A tenant's own records. */
export async function listAudit(ctx: Ctx, query: AuditQuery, size?: number): Promise<AuditPage> {
  const { records, ...rest } = await pageOf(ctx.db, {}, query, size);
  return { rows: records.map(rowOf), ...rest };
}

/** Records of all tenants and of none. The door in front of it is an operator's. */
export async function listAllAudit(query: AuditQuery): Promise<AuditPage> {
  const { records, ...rest } = await pageOf(unsafeDb(), await scopeOf(query), query);
  const ids = records.flatMap(({ tenantId }) => tenantId ?? []);
  const known = await unsafeDb().tenant.findMany({
    where: { id: { in: ids } },
    select: { id: true, slug: true, displayName: true },
  });
  const byId = new Map(known.map(({ id, slug, displayName }) => [id, { slug, displayName }]));
  const rows = records.map((record) => ({ ...rowOf(record), tenant: byId.get(record.tenantId ?? '') ?? null }));
  return { rows, ...rest };
}

async function scopeOf({ tenant }: AuditQuery): Promise<Prisma.AuditWhereInput> {
  if (tenant === '') return {};
  if (tenant === '-') return { tenantId: null };
  const row = await unsafeDb().tenant.findUnique({ where: { slug: tenant }, select: { id: true } });
  // A tenant that there is not has no records, and least of all everybody's.
  return row ? { tenantId: row.id } : { id: { in: [] } };
}

// ---------------------------------------------------------------------------------------------------------- exports

export const AuditExport = AuditQuery.omit({ before: true }).extend({
  format: z.enum(['csv', 'jsonl']).default('csv'),
});

/** Everything that the filter leaves, as a file that is written while it is read. */
export function exportAudit(ctx: Ctx, asked: URLSearchParams, now: Date): Response {
  const { format, ...query } = AuditExport.parse(Object.fromEntries(asked));
  const records = allRecords(ctx.db, whereOf({ ...query, before: '' }));
  const slugOf = () => Promise.resolve(ctx.tenant.slug);
  return download(lines(records, format, slugOf), format, `audit-${ctx.tenant.slug}-${now.toISOString().slice(0, 10)}`);
}

/** The same over all tenants. */
export async function exportAllAudit(asked: URLSearchParams, now: Date): Promise<Response> {
  const { format, ...rest } = AuditExport.parse(Object.fromEntries(asked));
  const query = { ...rest, before: '' };
  const records = allRecords(unsafeDb(), { AND: [await scopeOf(query), whereOf(query)] });
  return download(lines(records, format, slugs()), format, `audit-${now.toISOString().slice(0, 10)}`);
}

async function* allRecords(db: Reader, where: Prisma.AuditWhereInput): AsyncGenerator<AuditRecord> {
  for (let before = ''; ;) {
    const page = await recordsOf(db, where, before, exportPageSize);
    yield* page;
    const last = page.at(-1);
    if (!last || page.length < exportPageSize) return;
    before = last.id;
  }
}

type SlugOf = (tenantId: string | null) => Promise<string>;

function slugs(): SlugOf {
  const known = new Map<string, string>();
  return async (tenantId) => {
    if (tenantId === null) return '';
    const slug =
      known.get(tenantId) ??
      (await unsafeDb().tenant.findUnique({ where: { id: tenantId }, select: { slug: true } }))?.slug ??
      tenantId;
    known.set(tenantId, slug);
    return slug;
  };
}

const columns = ['number', 'at', 'tenant', 'actor', 'action', 'target', 'before', 'after', 'request_id', 'hash'];

async function* lines(
  records: AsyncIterable<AuditRecord>,
  format: 'csv' | 'jsonl',
  slugOf: SlugOf,
): AsyncGenerator<string> {
  if (format === 'csv') yield csvLine(columns);
  for await (const record of records) {
    const { seq, actor, action, target, before, after, requestId } = record;
    const [at, tenant] = [record.at.toISOString(), await slugOf(record.tenantId)];
    const hash = record.hash ? Buffer.from(record.hash).toString('hex') : '';
    if (format === 'csv') {
      const json = (value: unknown) => (value === null ? '' : JSON.stringify(value));
      yield csvLine([seq, at, tenant, actor, action, target, json(before), json(after), requestId, hash]);
    } else {
      const number = Number(seq);
      const said = { number, at, tenant, actor, action, target, before, after, requestId, hash };
      yield `${JSON.stringify(said)}\n`;
    }
  }
}
