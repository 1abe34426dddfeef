import { Decimal } from 'decimal.js';
import fc from 'fast-check';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import type { Ctx, CtxTenant, PersonCtx } from '#lib/tenant/index.ts';
import { tenantDb } from '#lib/db/index.ts';
import { keepReadings, keepSources, type GivenReading, type GivenSource } from '#lib/usage/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  addBudget,
  addRate,
  BudgetInput,
  changeBudget,
  closeDue,
  closeMonth,
  CostQuery,
  dashboardOf,
  dearestJobs,
  jobCost,
  liftLimit,
  listBudgets,
  listRates,
  lookAtBudgets,
  monthCosts,
  monthToDate,
  payerBySlug,
  previewRate,
  RateInput,
  restraintOf,
  setAgreement,
  setIdleRule,
  statementOf,
  statementsOf,
  withdrawRate,
} from './index.ts';

let rows: TestRows;
let by: PersonCtx;
const day = (text: string) => new Date(`${text}T00:00:00Z`);

beforeAll(async () => {
  Object.assign(process.env, { FLYWHEEL_BUDGET_NOTICE_MINUTES: '60' });
  rows = await startTestRows();
  await unsafeDb().rate.createMany({
    data: [
      { poolName: 'docker', validFrom: day('2026-01-01'), unitPrice: '0.000027777778' },
      { poolName: 'nix', validFrom: day('2026-01-01'), unitPrice: '0.001' },
      { poolName: 'nix', validFrom: day('2026-07-16'), unitPrice: '0.002' },
      { meter: 'bazelGibHours', validFrom: day('2026-01-01'), unitPrice: '0.0003' },
    ],
  });
  by = { person: { userId: '', name: 'Op', imageUrl: null, identities: [], isOperator: true }, requestId: 'r' };
  const user = await unsafeDb().user.create({ data: { name: 'Op' } });
  by.person.userId = user.id;
});
afterAll(() => rows?.stop());

let count = 0;
async function newTenant(parentId?: string): Promise<TenantRows> {
  count += 1;
  const tenant = await addTenant(`money-${count}`);
  if (parentId) await unsafeDb().tenant.update({ where: { id: tenant.tenantId }, data: { parentId } });
  return tenant;
}

type Ran = {
  pool?: string;
  at: string;
  seconds: number;
  repository?: string;
  conclusion?: string;
  now?: string;
  id?: string;
};

/** A runner that ran for so long, ending at this instant, and its job. */
async function ran(
  of: TenantRows,
  { pool = 'nix', at, seconds, repository, conclusion = 'success', now, id }: Ran,
): Promise<string> {
  count += 1;
  const name = id ?? `runner-${count}`;
  const end = new Date(at);
  const startedAt = new Date(end.getTime() - seconds * 1000);
  const source: GivenSource = {
    id: name,
    name,
    clusterId: 'main',
    tenantId: of.tenantId,
    enrollmentId: of.enrollmentId,
    kind: 'runner',
    poolName: pool,
    cpuCores: '4',
    memoryGib: '8',
    gpuCount: 0,
    startedAt,
    endedAt: end,
    endedItself: repository !== undefined,
  };
  await keepSources([source]);
  const reading: GivenReading = {
    sourceId: name,
    meter: 'runnerSeconds',
    observedAt: end,
    quantity: seconds.toFixed(3),
  };
  await keepReadings([reading], new Date(now ?? at));
  if (repository)
    await unsafeDb().job.create({
      data: {
        connectionId: 'forge',
        externalId: name,
        tenantId: of.tenantId,
        enrollmentId: of.enrollmentId,
        scaleSetName: of.scaleSetName,
        repository,
        workflow: 'ci',
        name: 'build',
        state: 'completed',
        conclusion,
        runnerName: name,
        queuedAt: startedAt,
        startedAt,
        completedAt: end,
      },
    });
  return name;
}

const query = (input: object = {}) => CostQuery.parse({ period: '2026-06', ...input });
function ctxOf(tenant: TenantRows): Ctx {
  return {
    ...by,
    tenant: { id: tenant.tenantId, slug: tenant.slug } as CtxTenant,
    role: 'operator',
    db: tenantDb(tenant.tenantId),
    audit: async (tx, entry) => {
      await tx.audit.create({
        data: { tenantId: tenant.tenantId, actor: 'test', action: entry.action, target: entry.target },
      });
    },
  };
}

describe('month to date', () => {
  test('a month begins at midnight UTC, its rates hold for what ran under them, and what has none is shown', async () => {
    const tenant = await newTenant();
    await ran(tenant, { pool: 'docker', at: '2026-06-30T23:59:59Z', seconds: 600 });
    await ran(tenant, { at: '2026-07-10T12:00:00Z', seconds: 1000 });
    await ran(tenant, { at: '2026-07-16T12:00:00Z', seconds: 10 });
    await ran(tenant, { pool: 'nix-heavy', at: '2026-07-16T12:00:00Z', seconds: 5 });
    const told = await monthToDate({ tenant: { id: tenant.tenantId } as CtxTenant }, new Date('2026-07-20T00:00:00Z'));
    expect(told).toEqual({
      currency: 'USD',
      from: '2026-07-01T00:00:00.000Z',
      total: '1.02',
      byPool: [
        { pool: 'nix', runnerSeconds: '1010', runners: 2, cost: '1.02' },
        { pool: 'nix-heavy', runnerSeconds: '5', runners: 1, cost: null },
      ],
    });
    const june = await monthToDate({ tenant: { id: tenant.tenantId } as CtxTenant }, new Date('2026-06-30T23:59:59Z'));
    expect(june.total).toBe('0.0166666668');
  });
});

describe('the dashboard', () => {
  test('every dimension adds up to the same total, to the last digit, and one can go down to a job', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-06-02T10:30:00Z', seconds: 1234.567, repository: 'acme/a' });
    const failed = await ran(tenant, {
      at: '2026-06-03T11:30:00Z',
      seconds: 777.001,
      repository: 'acme/b',
      conclusion: 'failure',
    });
    await ran(tenant, { at: '2026-06-03T12:30:00Z', seconds: 333 });
    await ran(tenant, { pool: 'docker', at: '2026-06-04T12:30:00Z', seconds: 99, repository: 'acme/a' });
    const now = new Date('2026-06-20T12:00:00Z');
    const whole = (await dashboardOf([tenant.tenantId], query(), now)).total;
    expect(whole).toBe('2.347318000022');
    for (const by of ['pool', 'repository', 'workflow', 'day', 'hour', 'tenant']) {
      const view = await dashboardOf([tenant.tenantId], query({ by }), now);
      const sum = view.rows.reduce((total, row) => total.plus(row.cost), new Decimal(0));
      expect([by, sum.toFixed(), view.total]).toEqual([by, whole, whole]);
    }
    const view = await dashboardOf([tenant.tenantId], query({ by: 'repository' }), now);
    expect(view.series.reduce((sum, point) => sum.plus(point.cost), new Decimal(0)).toFixed()).toBe(whole);
    expect(view.waste.map(({ kind, what }) => [kind, what])).toEqual([
      ['failed', 'acme/b · ci'],
      ['idle', 'nix'],
    ]);
    const jobs = await dearestJobs([tenant.tenantId], query(), now);
    expect(jobs.map(({ repository, cost }) => [repository, cost])).toEqual([
      ['acme/a', '1.234567'],
      ['acme/b', '0.777001'],
      ['acme/a', '0.002750000022'],
    ]);
    expect(await jobCost([tenant.tenantId], `forge/${failed}`, new Date())).toMatchObject({
      conclusion: 'failure',
      cost: '0.777001',
      parts: [{ meter: 'Runner time', quantity: '777.001', rate: '0.001' }],
    });
    const stranger = await newTenant();
    await expect(jobCost([stranger.tenantId], `forge/${failed}`, new Date())).rejects.toMatchObject({
      code: 'not_found',
    });
    // Over the end of a month it is one job all the same.
    const long = await ran(tenant, { at: '2026-07-01T10:00:00Z', seconds: 72_000, repository: 'acme/long' });
    expect(await jobCost([tenant.tenantId], `forge/${long}`, new Date())).toMatchObject({
      runnerSeconds: '72000',
      parts: [{ quantity: '72000' }],
    });
  });

  test('a tenant above sees those below beside itself', async () => {
    const above = await newTenant();
    const below = await newTenant(above.tenantId);
    await ran(above, { at: '2026-06-02T10:30:00Z', seconds: 100 });
    await ran(below, { at: '2026-06-02T10:30:00Z', seconds: 50 });
    const view = await dashboardOf(
      [above.tenantId, below.tenantId],
      query({ by: 'tenant' }),
      new Date('2026-06-20T00:00:00Z'),
    );
    expect(view.rows.map(({ label, cost }) => [label, cost])).toEqual([
      [above.slug, '0.1'],
      [below.slug, '0.05'],
    ]);
  });
});

describe('rate cards', () => {
  const now = new Date('2026-11-20T12:00:00Z');
  const input = (change: object = {}) =>
    RateInput.parse({ meter: 'runnerSeconds', pool: 'docker', unitPrice: '0.5', validFrom: '2026-11-21', ...change });

  test('a price never begins in the past, and says what is wrong in its place', async () => {
    for (const [change, field] of [
      [{ validFrom: '2026-11-20' }, 'validFrom'],
      [{ validFrom: '2026-06-01' }, 'validFrom'],
      [{ meter: 'memoryGibSeconds', validFrom: '2026-06-01' }, 'validFrom'],
      [{ meter: 'cacheTransferGib', pool: '', validFrom: '2026-06-01' }, 'validFrom'],
      [{ pool: 'none' }, 'pool'],
      [{ meter: 'bazelGibHours' }, 'pool'],
      [{ tiers: '100 0.1\n50 0.01' }, 'tiers'],
      [{ tiers: 'many' }, 'tiers'],
    ] as const)
      await expect(addRate(by, input(change), now)).rejects.toMatchObject({
        screen: { fields: { [field]: expect.any(String) as unknown } },
      });
    for (const unitPrice of ['-1', '1e3', 'NaN', '', '1.0000000000001'])
      expect(RateInput.safeParse({ ...input(), unitPrice }).success).toBe(false);
  });

  test('what had no price gets one from a day that is past, as far as the first that it has: its month can be closed', async () => {
    const tenant = await newTenant();
    await ran(tenant, { pool: 'docker', at: '2025-12-10T10:00:00Z', seconds: 1000 });
    const close = async () => closeMonth(by, await payerBySlug(tenant.slug), '2025-12', now);
    await expect(close()).rejects.toMatchObject({ code: 'conflict' });
    await addRate(by, input({ unitPrice: '0.25', validFrom: '2025-12-01' }), now);
    const [past] = (await listRates(now)).filter(({ pool, unitPrice }) => pool === 'docker' && unitPrice === '0.25');
    expect(past?.state).toBe('past');
    expect((await close()).total.toFixed()).toBe('250');
    // What had a price keeps it.
    await ran(tenant, { pool: 'docker', at: '2026-01-10T10:00:00Z', seconds: 36_000 });
    const [january] = await monthCosts({ tenantIds: [tenant.tenantId], detail: 'pool', period: '2026-01' });
    expect(january?.contractedCost.toFixed(6)).toBe('1.000000');
    await unsafeDb().rate.deleteMany({ where: { unitPrice: '0.25' } });
  });

  test('a price of one currency says nothing of another’s', async () => {
    const euro = input({ currency: 'EUR', validFrom: '2026-12-05' });
    await addRate(by, input({ validFrom: '2026-12-05' }), now);
    await addRate(by, euro, now);
    await expect(addRate(by, euro, now)).rejects.toMatchObject({ code: 'invalid' });
    await unsafeDb().rate.deleteMany({ where: { validFrom: day('2026-12-05') } });
  });

  test('a preview says what last month would have cost, and keeps nothing', async () => {
    const tenant = await newTenant();
    await ran(tenant, { pool: 'docker', at: '2026-10-05T10:00:00Z', seconds: 3000 });
    const before = await listRates(now);
    const preview = await previewRate(input(), now);
    expect(preview.rows.find((row) => row.tenant === tenant.slug)).toEqual({
      tenant: tenant.slug,
      currency: 'USD',
      before: '0.083333334',
      after: '1500',
      difference: '1499.916666666',
    });
    expect(await listRates(now)).toEqual(before);
    // One that began within that month is not what would be in force.
    await unsafeDb().rate.create({ data: { poolName: 'docker', validFrom: day('2026-10-02'), unitPrice: '9' } });
    const again = await previewRate(input(), now);
    expect(again.rows.find((row) => row.tenant === tenant.slug)?.after).toBe('1500');
    await unsafeDb().rate.deleteMany({ where: { unitPrice: '9' } });
  });

  test('a price is entered once a day, is taken back only before it is in force, and is audited', async () => {
    await addRate(by, input({ pool: 'nix-heavy', validFrom: '2026-12-01', tiers: '1000 0.4\n2000 0.3' }), now);
    await expect(addRate(by, input({ pool: 'nix-heavy', validFrom: '2026-12-01' }), now)).rejects.toMatchObject({
      code: 'invalid',
    });
    const [rate] = (await listRates(now)).filter(({ pool }) => pool === 'nix-heavy');
    expect(rate).toMatchObject({
      state: 'to-come',
      tiers: [
        { from: '1000', unitPrice: '0.4' },
        { from: '2000', unitPrice: '0.3' },
      ],
    });
    const rateId = rate?.id ?? '';
    await expect(withdrawRate(by, { rateId }, new Date('2026-12-02T00:00:00Z'))).rejects.toMatchObject({
      code: 'conflict',
    });
    await withdrawRate(by, { rateId }, now);
    expect(
      await unsafeDb().audit.count({
        where: { action: { startsWith: 'rate:' }, target: 'rate/runnerSeconds/nix-heavy' },
      }),
    ).toBe(2);
  });
});

describe('closing', () => {
  const later = new Date('2026-07-04T00:00:00Z');
  const close = async (of: TenantRows, period = '2026-06', now = later) =>
    closeMonth(by, await payerBySlug(of.slug), period, now);

  test('a month that is closed once more after a restore has another number unless it comes to the same', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-06-10T10:00:00Z', seconds: 1000 });
    /** As the database was before: nobody closed it, and some of what was read is not there. */
    const restored = async () => {
      const owner = new pg.Client({ connectionString: rows.database.ownerUrl });
      await owner.connect();
      const force = (is: string) =>
        owner.query(
          `alter table invoice_line ${is} force row level security; alter table invoice ${is} force row level security`,
        );
      await force('no');
      await owner.query('delete from invoice_line where tenant_id = $1', [tenant.tenantId]);
      await owner.query('delete from invoice where tenant_id = $1', [tenant.tenantId]);
      await force('');
      await owner.end();
    };
    const numbers: (string | undefined)[] = [];
    const closed = async () => numbers.push((await close(tenant)).closed?.number);
    await closed();
    await restored();
    await closed();
    await restored();
    await ran(tenant, { at: '2026-06-11T10:00:00Z', seconds: 1000 });
    await closed();
    expect(numbers[0]).toMatch(new RegExp(`^2026-06-${tenant.slug}-[0-9a-f]{8}$`));
    expect(numbers[1]).toBe(numbers[0]);
    expect(numbers[2]).not.toBe(numbers[0]);
  });

  test('closing twice changes nothing, two at once close it once, and the lines are rounded and keyed', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-06-10T10:00:00Z', seconds: 1234.5 });
    await ran(tenant, { pool: 'docker', at: '2026-06-10T10:00:00Z', seconds: 1000 });
    const all = await Promise.all([close(tenant), close(tenant), close(tenant)]);
    expect(new Set(all.map((each) => JSON.stringify(each))).size).toBe(1);
    const [rate] = await unsafeDb().rate.findMany({ where: { poolName: 'nix' }, orderBy: { validFrom: 'asc' } });
    const [docker, nix] = all[0]?.lines ?? [];
    expect([docker?.contractedCost.toFixed(2), nix?.contractedCost.toFixed(2), nix?.key]).toEqual([
      '0.03',
      '1.23',
      `2026-06/runnerSeconds/nix/${rate?.id}`,
    ]);
    expect(all[0]?.total.toFixed()).toBe('1.26');
    expect(await unsafeDb().invoice.count({ where: { tenantId: tenant.tenantId, period: '2026-06' } })).toBe(1);
    expect(await unsafeDb().audit.count({ where: { tenantId: tenant.tenantId, action: 'invoice:close' } })).toBe(1);
    // As it was closed, whatever is read later.
    await ran(tenant, { at: '2026-06-11T10:00:00Z', seconds: 5000, now: '2026-07-05T00:00:00Z' });
    expect(JSON.stringify(await close(tenant))).toBe(JSON.stringify(all[0]));
  });

  test('a draft stays a draft while something is missing, and says what', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-06-10T10:00:00Z', seconds: 10 });
    await ran(tenant, { pool: 'nix-heavy', at: '2026-06-10T10:00:00Z', seconds: 7 });
    const payer = await payerBySlug(tenant.slug);
    const missing = async (period: string, now: string) => (await statementOf(payer, period, new Date(now))).missing;
    expect(await missing('2026-06', '2026-06-20T00:00:00Z')).toContain('The month goes on until 2026-07-01.');
    expect(await missing('2026-06', '2026-07-02T00:00:00Z')).toContain(
      'Readings that come late are waited for until 2026-07-03 00:00 UTC.',
    );
    expect(await missing('2026-06', '2026-07-04T00:00:00Z')).toEqual([
      'nix-heavy has no price: 7 Seconds cannot be charged.',
    ]);
    expect(await missing('2026-07', '2026-08-04T00:00:00Z')).toEqual(['2026-06 is not closed yet.']);
    await expect(close(tenant)).rejects.toMatchObject({ code: 'conflict' });
    expect(await unsafeDb().invoice.count({ where: { tenantId: tenant.tenantId, period: '2026-06' } })).toBe(0);
  });

  test('what comes late is a correction of the next month, once, and the sums of both are those of one bill', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-06-10T10:00:00Z', seconds: 1000 });
    await close(tenant);
    await ran(tenant, { at: '2026-06-12T10:00:00Z', seconds: 500, now: '2026-07-05T00:00:00Z' });
    await ran(tenant, { pool: 'docker', at: '2026-06-12T10:00:00Z', seconds: 36000, now: '2026-07-05T00:00:00Z' });
    await ran(tenant, { at: '2026-07-05T00:00:00Z', seconds: 100 });
    const july = await close(tenant, '2026-07', new Date('2026-08-04T00:00:00Z'));
    expect(
      july.lines.map(({ kind, description, period, contractedCost }) => [
        kind,
        description,
        period,
        contractedCost.toFixed(),
      ]),
    ).toEqual([
      ['usage', 'Runner time in the pool nix', '2026-07', '0.1'],
      ['correction', 'Correction of 2026-06: Runner time in the pool docker', '2026-06', '1'],
      ['correction', 'Correction of 2026-06: Runner time in the pool nix', '2026-06', '0.5'],
    ]);
    // It is corrected: August has nothing of June.
    const august = await close(tenant, '2026-08', new Date('2026-09-04T00:00:00Z'));
    expect(august.lines).toEqual([]);
  });

  test('a discount, a commitment, and what comes late under one', async () => {
    const tenant = await newTenant();
    const now = new Date('2026-06-01T00:00:00Z');
    const terms = { tenant: tenant.slug, period: '2026-06', discountPercent: '10', committedAmount: '5' };
    await setAgreement(by, terms, now);
    await expect(setAgreement(by, { ...terms, period: '2026-05' }, now)).rejects.toMatchObject({ code: 'invalid' });
    await ran(tenant, { at: '2026-06-10T10:00:00Z', seconds: 1000 });
    const june = await close(tenant);
    expect(
      june.lines.map(({ kind, listCost, contractedCost }) => [kind, listCost.toFixed(), contractedCost.toFixed()]),
    ).toEqual([
      ['usage', '1', '0.9'],
      ['commitment', '4.1', '4.1'],
    ]);
    await ran(tenant, { at: '2026-06-11T10:00:00Z', seconds: 1000, now: '2026-07-05T00:00:00Z' });
    const july = await close(tenant, '2026-07', new Date('2026-08-04T00:00:00Z'));
    // 0.90 more of use, 0.90 less of the commitment: June still comes to 5; July's own commitment is all of it.
    const corrections = july.lines
      .filter(({ kind }) => kind === 'correction')
      .map(({ contractedCost }) => contractedCost.toFixed());
    expect(corrections.toSorted()).toEqual(['-0.9', '0.9']);
  });

  test('I6: in any order of readings and closes, all bills together are what ran, or less where it was never read', async () => {
    const uses = fc.array(
      fc.record({
        month: fc.integer({ min: 2, max: 4 }),
        seconds: fc.integer({ min: 1, max: 90_000 }),
        lateBy: fc.nat(2),
      }),
      {
        maxLength: 6,
        minLength: 1,
      },
    );
    await fc.assert(
      fc.asyncProperty(uses, async (given) => {
        const tenant = await newTenant();
        for (const month of [2, 3, 4, 5, 6]) {
          for (const use of given.filter((each) => each.month + each.lateBy === month)) {
            const at = new Date(Date.UTC(2026, use.month - 1, 20)).toISOString();
            await ran(tenant, { at, seconds: use.seconds, now: new Date(Date.UTC(2026, month - 1, 28)).toISOString() });
          }
          await close(tenant, `2026-0${month}`, new Date(Date.UTC(2026, month, 4))).catch(() => undefined);
        }
        const [{ _sum }] = [
          await unsafeDb().invoiceLine.aggregate({
            where: { tenantId: tenant.tenantId, key: { not: 'x' } },
            _sum: { contractedCost: true },
          }),
        ];
        const byMonth = Map.groupBy(given, ({ month }) => month);
        const truth = [...byMonth.values()].reduce((sum, each) => {
          const seconds = each.reduce((total, { seconds: one }) => total + one, 0);
          return sum.plus(new Decimal(seconds).mul('0.001').toDecimalPlaces(2, Decimal.ROUND_HALF_UP));
        }, new Decimal(0));
        expect(new Decimal(_sum.contractedCost?.toString() ?? 0).toFixed(2)).toBe(truth.toFixed(2));
      }),
      { numRuns: 6 },
    );
  }, 60_000);

  test('what comes late and has no price holds up the next month, and is not taken as free', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-06-10T10:00:00Z', seconds: 100 });
    await close(tenant);
    await ran(tenant, { pool: 'nix-heavy', at: '2026-06-12T10:00:00Z', seconds: 5, now: '2026-07-05T00:00:00Z' });
    const { missing } = await statementOf(await payerBySlug(tenant.slug), '2026-07', new Date('2026-08-04T00:00:00Z'));
    expect(missing).toEqual(['nix-heavy has no price in 2026-06: 5 Seconds cannot be charged.']);
  });

  test('what was agreed on is billed without any use, by the portal itself, and no longer than the tenant is there', async () => {
    const tenant = await newTenant();
    await setAgreement(
      by,
      { tenant: tenant.slug, period: '2026-04', discountPercent: '0', committedAmount: '7' },
      day('2026-04-01'),
    );
    await unsafeDb().tenant.update({ where: { id: tenant.tenantId }, data: { leftAt: day('2026-05-10') } });
    await closeDue(new Date('2026-09-04T00:00:00Z'));
    const rows = await unsafeDb().invoice.findMany({
      where: { tenantId: tenant.tenantId, period: { gt: '2026-03' } },
      orderBy: { period: 'asc' },
    });
    expect(rows.map(({ period, total }) => [period, total.toString()])).toEqual([
      ['2026-04', '7'],
      ['2026-05', '7'],
      ['2026-06', '0'],
    ]);
  });

  test('statements of many are the same as of each, in as many questions', async () => {
    const tenants = [await newTenant(), await newTenant(), await newTenant()];
    for (const [index, each] of tenants.entries()) {
      await ran(each, { at: '2026-05-10T10:00:00Z', seconds: 10 * (index + 1) });
      if (index > 0) await close(each, '2026-05');
      await ran(each, { at: '2026-05-11T10:00:00Z', seconds: 7, now: '2026-06-04T00:00:00Z' });
      await ran(each, { at: '2026-06-11T10:00:00Z', seconds: 3 * (index + 1) });
      if (index > 1) await close(each, '2026-06');
    }
    const all = (await statementsOf('2026-06', later)).filter((of) => of.tenant.slug.startsWith('money-'));
    for (const { slug } of tenants)
      expect(JSON.stringify(all.find((of) => of.tenant.slug === slug))).toBe(
        JSON.stringify(await statementOf(await payerBySlug(slug), '2026-06', later)),
      );
  });

  test('the portal closes what is due, the oldest first, and not what is not', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-05-10T10:00:00Z', seconds: 10 });
    await ran(tenant, { at: '2026-06-10T10:00:00Z', seconds: 10 });
    await closeDue(new Date('2026-07-01T12:00:00Z'));
    const periods = async () =>
      (
        await unsafeDb().invoice.findMany({
          where: { tenantId: tenant.tenantId, period: { gt: '2026-03' } },
          orderBy: { period: 'asc' },
        })
      ).map(({ period }) => period);
    expect(await periods()).toEqual(['2026-05']);
    await closeDue(later);
    expect(await periods()).toEqual(['2026-05', '2026-06']);
  });

  test('idle time that the operator bears is not charged, from this month on alone', async () => {
    const tenant = await newTenant();
    await ran(tenant, { at: '2026-08-10T10:00:00Z', seconds: 100 });
    await ran(tenant, { at: '2026-09-10T10:00:00Z', seconds: 100 });
    await setIdleRule(by, { pool: 'nix', idle: 'operator' }, new Date('2026-09-15T00:00:00Z'));
    const cost = async (period: string) =>
      (await monthCosts({ tenantIds: [tenant.tenantId], detail: 'pool', period }))[0]?.contractedCost.toFixed();
    expect([await cost('2026-08'), await cost('2026-09')]).toEqual(['0.2', '0']);
    await setIdleRule(by, { pool: 'nix', idle: 'by-use' }, new Date('2026-09-15T00:00:00Z'));
  });
});

describe('budgets', () => {
  test('a limit tells, announces, acts by steps, and is undone at once by raising, lifting or a new month; all of it audited', async () => {
    const tenant = await newTenant();
    const team = await newTenant(tenant.tenantId);
    const ctx = ctxOf(tenant);
    await unsafeDb().budget.deleteMany({});
    await addBudget(ctx, BudgetInput.parse({ name: 'All', amount: '1', isLimit: 'on', thresholds: '50 100' }));
    const at = (minutes: number) => new Date(Date.UTC(2026, 9, 10, 0, minutes));
    const restraint = async (minutes: number) => {
      await lookAtBudgets(at(minutes));
      return [await restraintOf(tenant.tenantId, at(minutes)), await restraintOf(team.tenantId, at(minutes))];
    };
    await ran(tenant, { at: '2026-10-05T10:00:00Z', seconds: 300 });
    expect(await restraint(0)).toEqual([0, 0]);
    const titles = async () =>
      (
        await unsafeDb().notice.findMany({
          where: { tenantId: tenant.tenantId, kind: 'budget-reached' },
          orderBy: { id: 'asc' },
        })
      ).map(({ title }) => title);
    expect(await titles()).toEqual(['The budget All has reached 50 %']);
    // What the team spends counts.
    await ran(team, { at: '2026-10-06T10:00:00Z', seconds: 350 });
    expect(await restraint(1)).toEqual([0, 0]);
    expect((await titles()).slice(1)).toEqual([
      'The budget All has reached 100 %',
      'The budget All will hold runners back',
    ]);
    expect(await restraint(60)).toEqual([0, 0]);
    expect(await restraint(61)).toEqual([1, 1]);
    expect(await restraint(62)).toEqual([1, 1]);
    expect(await restraint(122)).toEqual([2, 2]);
    const [row] = await listBudgets(ctx, at(122));
    expect(row).toMatchObject({
      percent: 130,
      step: 2,
      of: 'the whole tenant',
      stepWords: 'half as many runners as usual may run at once',
    });
    const budgetId = row?.id ?? '';
    await changeBudget(ctx, { budgetId, amount: '100' }, at(123));
    expect([await restraintOf(tenant.tenantId, at(123)), await restraintOf(team.tenantId, at(123))]).toEqual([0, 0]);
    await changeBudget(ctx, { budgetId, amount: '1' }, at(123));
    await restraint(124);
    expect(await restraint(184)).toEqual([1, 1]);
    await liftLimit(ctx, budgetId, at(185));
    expect(await restraint(500)).toEqual([0, 0]);
    await lookAtBudgets(new Date('2026-11-01T00:10:00Z'));
    expect(await restraintOf(tenant.tenantId, new Date('2026-11-01T00:10:00Z'))).toBe(0);
    const actions = (
      await unsafeDb().audit.findMany({
        where: { tenantId: tenant.tenantId, action: { startsWith: 'budget:' } },
        orderBy: { id: 'asc' },
      })
    ).map(({ action }) => action);
    expect(actions).toEqual([
      'budget:add',
      'budget:limit',
      'budget:limit',
      'budget:change',
      'budget:ease',
      'budget:change',
      'budget:limit',
      'budget:lift',
    ]);
    // Whoever's runners are held back or let go is looked at again.
    expect(
      await unsafeDb().task.count({
        where: { kind: 'enrollment', key: { in: [tenant.enrollmentId, team.enrollmentId] } },
      }),
    ).toBe(2);
  });

  test('a budget of a repository tells and holds nothing back; one of a stranger’s tenant cannot be made', async () => {
    const tenant = await newTenant();
    const stranger = await newTenant();
    const ctx = ctxOf(tenant);
    const input = (change: object) => BudgetInput.parse({ name: 'One', amount: '0.50', ...change });
    await expect(addBudget(ctx, input({ team: stranger.slug }))).rejects.toMatchObject({
      screen: { fields: { team: expect.any(String) as unknown } },
    });
    await expect(addBudget(ctx, input({ repository: 'acme/a', isLimit: 'on' }))).rejects.toMatchObject({
      code: 'invalid',
    });
    await unsafeDb().budget.deleteMany({});
    await addBudget(ctx, input({ repository: 'acme/a' }));
    await ran(tenant, { at: '2026-10-05T10:00:00Z', seconds: 300, repository: 'acme/a' });
    await ran(tenant, { at: '2026-10-05T10:00:00Z', seconds: 900, repository: 'acme/b' });
    const [row] = await listBudgets(ctx, new Date('2026-10-06T00:00:00Z'));
    expect([row?.spent, row?.percent]).toEqual(['0.6', 120]);
    await lookAtBudgets(new Date('2026-10-06T00:00:00Z'));
    expect(await restraintOf(tenant.tenantId, new Date('2026-10-06T00:00:00Z'))).toBe(0);
    for (const amount of ['0', '0.00', '-1', '1e3', '1.001', 'NaN'])
      expect(BudgetInput.safeParse({ name: 'x', amount }).success).toBe(false);
    for (const thresholds of ['0', '-1', '1.5', 'many', '2000'])
      expect(BudgetInput.safeParse({ name: 'x', amount: '1', thresholds }).success).toBe(false);
  });
});

test('A25: a collector that was down for three hours is told of in the view and in the statement', async () => {
  const tenant = await newTenant();
  const looks = [
    ['2026-05-01T00:00:00Z', '2026-05-10T10:00:00Z'],
    ['2026-05-10T13:00:00Z', '2026-06-01T00:00:00Z'],
  ];
  await unsafeDb().usageWatch.createMany({
    data: looks.map(([began, seen]) => ({
      clusterId: 'main',
      beganAt: new Date(began ?? ''),
      seenUntil: new Date(seen ?? ''),
    })),
  });
  const now = new Date('2026-06-10T00:00:00Z');
  const gap = { clusterId: 'main', from: '2026-05-10T10:00:00.000Z', to: '2026-05-10T13:00:00.000Z' };
  expect((await dashboardOf([tenant.tenantId], query({ period: '2026-05' }), now)).gaps).toEqual([gap]);
  expect((await statementOf(await payerBySlug(tenant.slug), '2026-05', now)).gaps).toEqual([gap]);
});
