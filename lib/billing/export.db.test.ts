import { parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tenantDb, unsafeDb } from '#lib/db/index.ts';
import type { Ctx, CtxTenant } from '#lib/tenant/index.ts';
import { keepReadings, keepSources } from '#lib/usage/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  closeMonth,
  exportCosts,
  exportFocus,
  focusColumns,
  payerBySlug,
  setTag,
  statementFile,
  TagInput,
} from './index.ts';

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;
const now = new Date('2026-07-10T00:00:00Z');
/** A formula, as a repository and as a tag: whoever opens the file must not run it. */
const formula = `=cmd|'/c calc'!A1`;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
  const validFrom = new Date('2026-01-01T00:00:00Z');
  await unsafeDb().rate.create({ data: { poolName: 'nix', validFrom, unitPrice: '0.000055555556' } });
  for (const of of [acme, bolt]) await fill(of);
});
afterAll(() => rows?.stop());

async function fill(of: TenantRows): Promise<void> {
  const own = { tenantId: of.tenantId, enrollmentId: of.enrollmentId };
  for (let day = 1; day <= 28; day += 1) {
    const startedAt = new Date(Date.UTC(2026, 5, day, 10));
    const endedAt = new Date(startedAt.getTime() + 3_333_333);
    const id = `${of.slug}-${day}`;
    const size = { cpuCores: '4', memoryGib: '8', gpuCount: 0 };
    await keepSources([
      {
        ...own,
        ...size,
        id,
        name: id,
        clusterId: 'main',
        kind: 'runner',
        poolName: 'nix',
        startedAt,
        endedAt,
        endedItself: true,
      },
    ]);
    await keepReadings([{ sourceId: id, meter: 'runnerSeconds', observedAt: endedAt, quantity: '3333.333' }], now);
    const job = {
      connectionId: 'forge',
      externalId: id,
      scaleSetName: of.scaleSetName,
      repository: day % 2 ? formula : `${of.slug}/app`,
    };
    const state = { state: 'completed' as const, conclusion: day % 5 ? 'success' : 'failure', runnerName: id };
    await unsafeDb().job.create({
      data: { ...own, ...job, ...state, queuedAt: startedAt, startedAt, completedAt: endedAt },
    });
  }
}

const search = (query: string) => new URLSearchParams(query);

/** RFC 4180, as a reader has it. */
function parsed(text: string): string[][] {
  const cells = [...text.matchAll(/("(?:[^"]|"")*"|[^,\r\n]*)(,|\r\n)/g)];
  const lines: string[][] = [[]];
  for (const [, cell = '', end] of cells) {
    lines.at(-1)?.push(cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell);
    if (end === '\r\n') lines.push([]);
  }
  return lines.slice(0, -1);
}

test('A25: no cell of any file is a formula, and every amount is a number', async () => {
  const files = [];
  for (const query of [
    'table=rows&by=repository',
    'table=series',
    'table=waste',
    'table=jobs',
    'table=rows&by=workflow',
  ])
    files.push(await (await exportCosts([acme.tenantId], search(`period=2026-06&${query}`), 'acme', now)).text());
  files.push(await exportFocus({ tenantId: null, name: 'all' }, search('period=2026-06'), now).text());
  files.push(await (await statementFile('acme', '2026-06', 'csv', now)).text());
  for (const text of files) {
    const [head = [], ...lines] = parsed(text);
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) {
      expect(line.length).toBe(head.length);
      for (const cell of line) expect(/^[\s]*[=+@-]/.test(cell) && !/^-\d+(\.\d+)?$/.test(cell)).toBe(false);
    }
  }
  expect(files[0]).toContain(`'=cmd`);
});

test('a month closed is the same in the statement, in CSV and in Parquet, and a tag goes in as it was written', async () => {
  const ctx = {
    tenant: { id: acme.tenantId, slug: 'acme' } as CtxTenant,
    db: tenantDb(acme.tenantId),
    audit: () => Promise.resolve(),
  } as unknown as Ctx;
  await setTag(ctx, TagInput.parse({ key: 'cost-center', value: formula }));
  expect(TagInput.safeParse({ key: 'Flywheel/x', value: 'x' }).success).toBe(false);
  const by = {
    person: { userId: acme.userId, name: 'Op', imageUrl: null, identities: [], isOperator: true },
    requestId: 'r',
  };
  const statement = await closeMonth(by, await payerBySlug('acme'), '2026-06', now);
  expect(statement.total.toFixed()).toBe('5.19');
  const csv = exportFocus({ tenantId: acme.tenantId, name: 'acme' }, search('period=2026-06&format=csv'), now);
  expect(csv.headers.get('content-disposition')).toBe('attachment; filename="focus-acme-2026-06.csv"');
  const [head = [], ...lines] = parsed(await csv.text());
  expect(head).toEqual(focusColumns.map(({ name }) => name));
  const cell = (line: string[], name: string) => line[head.indexOf(name)] ?? '';
  const billed = lines.reduce((sum, line) => sum + scaled(cell(line, 'BilledCost')), 0n);
  expect(billed).toBe(scaled('5.19'));
  expect(JSON.parse(cell(lines[0] ?? [], 'Tags'))).toMatchObject({ 'cost-center': formula });
  expect(cell(lines[0] ?? [], 'ChargePeriodStart')).toBe('2026-06-01T00:00:00Z');

  const parquet = exportFocus({ tenantId: acme.tenantId, name: 'acme' }, search('period=2026-06&format=parquet'), now);
  const file = await parquet.arrayBuffer();
  const read = (await parquetReadObjects({ file })) as Record<string, unknown>[];
  expect(read.length).toBe(lines.length);
  for (const [index, row] of read.entries()) {
    const line = lines[index] ?? [];
    expect(Object.keys(row).toSorted()).toEqual([...head].toSorted());
    expect(row['SkuPriceId'] ?? '').toBe(cell(line, 'SkuPriceId'));
    expect((row['ChargePeriodStart'] as Date).toISOString()).toBe(
      cell(line, 'ChargePeriodStart').replace('Z', '.000Z'),
    );
    expect(Number(row['BilledCost'])).toBeCloseTo(Number(cell(line, 'BilledCost')), 12);
  }
});

/** A decimal as a count of 10^-12. */
function scaled(text: string): bigint {
  const [whole = '0', fraction = ''] = text.split('.');
  return BigInt(whole) * 10n ** 12n + BigInt(fraction.padEnd(12, '0'));
}

test('all tenants in one file, each with its own; an empty month is a file of no rows that a reader can read', async () => {
  const all = parsed(await exportFocus({ tenantId: null, name: 'all' }, search('period=2026-06'), now).text());
  const column = all[0]?.indexOf('SubAccountName') ?? -1;
  expect(new Set(all.slice(1).map((line) => line[column]))).toEqual(new Set(['acme', 'bolt']));
  const none = exportFocus({ tenantId: null, name: 'all' }, search('period=2024-01&format=parquet'), now);
  expect(await parquetReadObjects({ file: await none.arrayBuffer() })).toEqual([]);
});

test('a statement is a PDF too, with any name; a month that there is not is not found', async () => {
  await unsafeDb().tenant.update({ where: { id: bolt.tenantId }, data: { displayName: 'Bölt 株式会社 '.repeat(20) } });
  const pdf = Buffer.from(await (await statementFile('bolt', '2026-06', 'pdf', now)).arrayBuffer());
  expect([pdf.subarray(0, 5).toString(), pdf.subarray(-6).toString().trim()]).toEqual(['%PDF-', '%%EOF']);
  await expect(statementFile('bolt', '2026-13', 'pdf', now)).rejects.toMatchObject({ code: 'not_found' });
});
