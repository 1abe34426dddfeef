import type { Decimal } from 'decimal.js';
import type { ParquetWriter } from 'hyparquet-writer';
import { z } from 'zod';
import { csvLine, type Cell } from '#lib/csv.ts';
import { unsafeDb } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { meterWords } from '#lib/usage/index.ts';
import { Exact } from './exact.ts';
import { csvType, fileResponse } from './export.ts';
import { focusColumns, focusRows, type FocusRow, type FocusType, type FocusValue } from './focus.ts';
import { monthCosts } from './month.ts';
import { monthsFrom, Period, periodAt } from './period.ts';
import { statementOf } from './statement.ts';

/* One tenant at a time goes into the file, so that a month of all of them needs no more memory than the largest. */

async function rowsOfTenant(tenantId: string, period: Period, now: Date): Promise<FocusRow[]> {
  const tenant = await unsafeDb().tenant.findUniqueOrThrow({
    where: { id: tenantId },
    include: { billingAccount: true, cluster: { select: { id: true, name: true } } },
  });
  const [statement, [month], tags] = await Promise.all([
    statementOf(tenant, period, now),
    monthCosts({ tenantIds: [tenantId], detail: 'workflow', period }),
    unsafeDb().costTag.findMany({ where: { tenantId }, orderBy: [{ repository: 'asc' }, { key: 'asc' }] }),
  ]);
  if (!month) return [];
  const { billingAccount: account, cluster, id, slug, displayName, kind } = tenant;
  return focusRows({
    words: meterWords,
    issuer: env().FLYWHEEL_INVOICE_ISSUER,
    account: {
      id: account.id,
      name: account.name,
    },
    tenant: {
      id,
      slug,
      displayName,
      kind,
    },
    cluster,
    period,
    tags,
    terms: month.terms,
    currency: statement.currency,
    lines: statement.lines,
    invoiceNumber: statement.closed?.number ?? null,
    uses: month.priced.costs,
  });
}

async function tenantsOf(tenantId: string | null): Promise<string[]> {
  if (tenantId !== null) return [tenantId];
  return (await unsafeDb().tenant.findMany({ select: { id: true }, orderBy: { slug: 'asc' } })).map(({ id }) => id);
}

export async function* focusRowsOf(tenantId: string | null, period: Period, now: Date): AsyncGenerator<FocusRow[]> {
  for (const id of await tenantsOf(tenantId)) {
    const rows = await rowsOfTenant(id, period, now);
    if (rows.length > 0) yield rows;
  }
}

function cellOf(value: FocusValue | undefined): Cell {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString().replace('.000Z', 'Z');
  if (typeof value === 'string') return value;
  if (Exact.isDecimal(value)) return { decimal: value.toFixed() };
  return JSON.stringify(value);
}

const encoder = new TextEncoder();

/** As CSV: a header, then a line a row. */
export async function* focusCsv(groups: AsyncIterable<FocusRow[]>): AsyncGenerator<Uint8Array> {
  yield encoder.encode(csvLine(focusColumns.map(({ name }) => name)));
  for await (const rows of groups)
    yield encoder.encode(rows.map((row) => csvLine(focusColumns.map(({ name }) => cellOf(row[name])))).join(''));
}

const decimalScale = 18;

/** Parquet's own decimal of 38 digits, 18 of them behind the point. */
function unscaledOf(value: Decimal): bigint {
  return BigInt(new Exact(value).mul(new Exact(10).pow(decimalScale)).toFixed(0, Exact.ROUND_HALF_EVEN));
}

const elements: Record<FocusType, object> = {
  string: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  json: { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } },
  datetime: { type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' },
  decimal: {
    type: 'FIXED_LEN_BYTE_ARRAY',
    type_length: 16,
    converted_type: 'DECIMAL',
    precision: 38,
    scale: decimalScale,
  },
};

type Schema = ConstructorParameters<typeof ParquetWriter>[0]['schema'];

const schema = [
  { name: 'focus', num_children: focusColumns.length },
  ...focusColumns.map(({ name, type }) => ({ name, repetition_type: 'OPTIONAL', ...elements[type] })),
] as Schema;

function parquetValue(value: FocusValue | undefined, type: FocusType): unknown {
  if (value === null || value === undefined) return null;
  if (type === 'decimal') return unscaledOf(value as Decimal);
  return type === 'json' ? JSON.stringify(value) : value;
}

/** As Parquet: a row group for every so many rows, handed on as soon as it is written. */
export async function* focusParquet(groups: AsyncIterable<FocusRow[]>): AsyncGenerator<Uint8Array> {
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer');
  const bytes = new ByteWriter();
  const file = new ParquetWriter({ writer: bytes, schema, createdBy: 'flywheel', statistics: false });
  const take = () => {
    const taken = bytes.getBytes().slice();
    bytes.index = 0;
    return taken;
  };
  let held: FocusRow[] = [];
  const write = () => {
    const columnData = focusColumns.map(({ name, type }) => ({
      name,
      data: held.map((row) => parquetValue(row[name], type)),
    }));
    void file.write({ columnData, rowGroupSize: held.length });
    held = [];
  };
  for await (const rows of groups) {
    held.push(...rows);
    if (held.length < rowGroupLeast) continue;
    write();
    yield take();
  }
  if (held.length > 0) write();
  void file.finish();
  yield take();
}

const rowGroupLeast = 5000;

const Asked = z.object({ period: Period.optional().catch(undefined), format: z.enum(['csv', 'parquet']).catch('csv') });

/** Made as it is read: nobody who reads slowly, or goes away, makes us hold it. */
function streamOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await chunks.return(undefined);
    },
  });
}

/** A month of one tenant, or of all, as a file that is streamed. Without a month the last that is over. */
export function exportFocus(
  { tenantId, name }: { tenantId: string | null; name: string },
  asked: URLSearchParams,
  now: Date,
): Response {
  const { period = monthsFrom(periodAt(now), -1), format } = Asked.parse(Object.fromEntries(asked));
  const groups = focusRowsOf(tenantId, period, now);
  const chunks = format === 'csv' ? focusCsv(groups) : focusParquet(groups);
  const type = format === 'csv' ? csvType : 'application/vnd.apache.parquet';
  return fileResponse(streamOf(chunks), `focus-${name}-${period}.${format}`, type);
}
