import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import type { Condition } from '#lib/model/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { enrollmentRow, type EnrollmentRow } from './rows.ts';
import { failureNotice, tellOfExpiry, tellOfFailure } from './tell.ts';

let rows: TestRows;
let acme: TenantRows;
let row: EnrollmentRow;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
  const found = await enrollmentRow(acme.enrollmentId);
  if (!found) throw new Error('no enrollment');
  row = found;
});
afterAll(() => rows?.stop());
beforeEach(() => unsafeDb().notice.deleteMany());

const now = new Date('2026-03-01T12:00:00Z');
const ago = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString();
const ready = (over: Partial<Condition> = {}): Condition => ({
  type: 'Ready',
  status: 'False',
  reason: 'Refused',
  message: 'The forge refuses the token. Enter a new one.',
  waitingFor: 'admin',
  since: ago(0),
  observedGeneration: 1,
  ...over,
});

describe('an enrollment that is not ready', () => {
  test.each<[string, Partial<Condition>, string | null]>([
    ['waits for an admin', {}, 'acme is not ready'],
    ['waits for the operator', { waitingFor: 'operator' }, 'acme is not ready'],
    ['waits for the forge since a minute', { waitingFor: 'forge', since: ago(1) }, null],
    [
      'waits for the forge since 15 minutes',
      { waitingFor: 'forge', since: ago(15) },
      'acme is not ready after 15 minutes',
    ],
    ['is ready', { status: 'True', waitingFor: 'nobody', since: ago(99) }, null],
    ['was not looked at', { status: 'Unknown', since: ago(99) }, null],
  ])('%s', (_, over, title) => expect(failureNotice(row, ready(over), now)?.title ?? null).toBe(title));

  test('one that is not withdrawn is told of in that word', () => {
    const leaving = { ...row, state: 'withdrawing' as const };
    expect(failureNotice(leaving, ready(), now)?.title).toBe('acme is not withdrawn');
    expect(failureNotice(row, undefined, now)).toBeNull();
  });

  test('is told once for each reason of a generation, not every pass, nor by another worker', async () => {
    const lease = { fence: () => Promise.resolve() } as unknown as Lease;
    const workers = [new Map<string, number>(), new Map<string, number>()];
    const pass = async (of: EnrollmentRow, condition: Condition) => {
      for (const seen of workers) await tellOfFailure(of, condition, { now, lease, seen });
    };
    for (let each = 0; each < 3; each += 1) await pass(row, ready({ since: ago(each) }));
    expect(await unsafeDb().notice.count()).toBe(1);
    await pass(row, ready({ reason: 'Conflict' }));
    await pass({ ...row, generation: row.generation + 1 }, ready());
    await pass(row, ready({ waitingFor: 'cluster', since: ago(20) }));
    const told = await unsafeDb().notice.findMany({ orderBy: { id: 'asc' } });
    expect(told.map(({ dedupeKey }) => dedupeKey.split('/').slice(2).join('/'))).toEqual([
      '0/Refused',
      '0/Conflict',
      '1/Refused',
      '0/Refused/slow',
    ]);
    expect(told[0]).toMatchObject({
      tenantId: acme.tenantId,
      kind: 'enrollment-failed',
      body: 'The forge refuses the token. Enter a new one. It waits for an admin of this tenant.',
      href: `/t/acme/enrollments/${acme.enrollmentId}`,
    });
  });

  test('I7: who lost the lease tells nothing', async () => {
    const lease = { fence: () => Promise.reject(new Error('lost')) } as unknown as Lease;
    await expect(tellOfFailure(row, ready(), { now, lease, seen: new Map() })).rejects.toThrow('lost');
    expect(await unsafeDb().notice.count()).toBe(0);
  });
});

describe('an access token that ends', () => {
  const days = (count: number) => new Date(now.getTime() + count * 24 * 3600_000);

  test('is told of 14 days before, 3 days before and when it has ended, once each; a new one begins anew', async () => {
    const { id } = await unsafeDb().credential.create({
      data: {
        tenantId: acme.tenantId,
        enrollmentId: acme.enrollmentId,
        kind: 'forge-token',
        sealedValue: 'sealed',
        owner: 'ada',
        expiresAt: days(20),
      },
    });
    const titles: string[] = [];
    for (let day = 0; day <= 22; day += 0.5) {
      await tellOfExpiry(days(day));
      const [newest] = await unsafeDb().notice.findMany({ orderBy: { id: 'desc' }, take: 1 });
      const said = newest && `${day}: ${newest.title}`;
      if (said && titles.at(-1)?.split(': ')[1] !== newest.title) titles.push(said);
    }
    expect(titles).toEqual([
      '6: The access token of acme ends within two weeks',
      '17: The access token of acme ends within three days',
      '20: The access token of acme has ended',
    ]);
    expect(await unsafeDb().notice.count()).toBe(3);
    const [first] = await unsafeDb().notice.findMany({ orderBy: { id: 'asc' }, take: 1 });
    expect(first).toMatchObject({
      kind: 'credential-expiring',
      body: 'The token of ada is good until 2026-03-21 12:00 UTC. Without a new one no runner is registered any more.',
      href: '/t/acme/credentials',
    });
    await unsafeDb().credential.update({ where: { id }, data: { expiresAt: days(60) } });
    await tellOfExpiry(days(58));
    expect(await unsafeDb().notice.count()).toBe(4);
  });

  test('what the portal renews by itself, and what serves nothing any more, is nobody’s to think of', async () => {
    await unsafeDb().credential.updateMany({ data: { expiresAt: days(1) } });
    await unsafeDb().credential.updateMany({ where: { kind: 'forge-token' }, data: { kind: 'attic-token' } });
    await tellOfExpiry(now);
    await unsafeDb().credential.updateMany({ where: { kind: 'attic-token' }, data: { kind: 'forge-token' } });
    await unsafeDb().enrollment.updateMany({ data: { state: 'withdrawn' } });
    await tellOfExpiry(now);
    expect(await unsafeDb().notice.count()).toBe(0);
    await unsafeDb().enrollment.updateMany({ data: { state: 'active' } });
    await tellOfExpiry(now);
    expect(await unsafeDb().notice.count()).toBe(1);
  });
});
