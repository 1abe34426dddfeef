import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { GET as exportOwn } from '../../app/t/[tenant]/audit/export/route.ts';
import { GET as exportAll } from '../../app/operator/audit/export/route.ts';
import { appendSystemAudit, AuditQuery, listAllAudit, listAudit, tenantCtx, type Ctx } from './index.ts';

/** The doors themselves: a browser with a session's cookie. */
const browser = vi.hoisted(() => ({ session: '' }));
vi.mock('next/headers', () => ({
  cookies: () =>
    Promise.resolve({
      get: (name: string) => (name.endsWith('session') && browser.session ? { value: browser.session } : undefined),
    }),
  headers: () => Promise.resolve(new Headers()),
}));

let rows: TestRows;
let acme: TenantRows;
let bolt: TenantRows;
let ctx: Ctx;

beforeAll(async () => {
  vi.stubEnv('FLYWHEEL_OPERATORS', 'forge:operator');
  rows = await startTestRows();
  acme = await addTenant('acme');
  bolt = await addTenant('bolt');
  const person = { userId: acme.userId, name: 'Admin', imageUrl: null, identities: [], isOperator: false };
  const found = await tenantCtx({ person, requestId: 'test' }, 'acme');
  if (!found) throw new Error('no way into acme');
  ctx = found;
  await unsafeTransaction(async (tx) => {
    for (let each = 1; each <= 250; each += 1)
      await appendSystemAudit(tx, acme.tenantId, { action: 'pool:change', target: `pool/${each}`, after: { each } });
    await appendSystemAudit(tx, acme.tenantId, { action: 'x%y_z', target: String.raw`a\b`, after: { each: '=1+1' } });
    await appendSystemAudit(tx, bolt.tenantId, { action: 'pool:change', target: 'pool/bolt' });
    await appendSystemAudit(tx, null, { action: 'access:denied', target: 'nobody' });
  });
});
afterAll(() => rows?.stop());

const query = (given: Partial<AuditQuery> = {}) => AuditQuery.parse(given);
const targets = ({ rows: shown }: { rows: { target: string }[] }) => shown.map(({ target }) => target);

describe('what a tenant reads', () => {
  test('its own alone, newest first, in pages that leave nothing out', async () => {
    const seen: string[] = [];
    for (let before = ''; ;) {
      const page = await listAudit(ctx, query({ before }));
      expect(page.rows.length).toBeLessThanOrEqual(100);
      seen.push(...page.rows.map(({ number }) => number));
      if (page.nextId === null) break;
      before = page.nextId;
    }
    expect(seen).toEqual(Array.from({ length: 252 }, (_, index) => String(252 - index)));
    // A filter of the operators’ page opens no other tenant.
    expect(targets(await listAudit(ctx, query({ tenant: 'bolt', target: 'bolt' })))).toEqual([]);
  });

  test.each<[Partial<AuditQuery>, string[]]>([
    [
      { target: 'POOL/7' },
      [
        'pool/79',
        'pool/78',
        'pool/77',
        'pool/76',
        'pool/75',
        'pool/74',
        'pool/73',
        'pool/72',
        'pool/71',
        'pool/70',
        'pool/7',
      ],
    ],
    [{ target: '%' }, []],
    [{ action: '%y_' }, [String.raw`a\b`]],
    [{ target: String.raw`a\b` }, [String.raw`a\b`]],
    [{ action: '_' }, [String.raw`a\b`]],
    [{ actor: 'TEST' }, ['acme']],
    [{ actor: 'portal', action: 'pool:change', target: '250' }, ['pool/250']],
    [{ from: '2999-01-01' }, []],
    [{ to: '2001-01-01' }, []],
    [{ target: "'; drop table audit; --" }, []],
  ])('filtered by %j', async (filter, expected) => {
    expect(targets(await listAudit(ctx, query(filter)))).toEqual(expected);
  });

  test('the day that is asked for is in it, to its end', async () => {
    const day = new Date().toISOString().slice(0, 10);
    const page = await listAudit(ctx, query({ from: day, to: day, target: 'pool/250' }));
    expect(page.rows).toEqual([
      expect.objectContaining({ number: '251', changes: [{ path: 'each', before: null, after: '250' }] }),
    ]);
    expect(page.actions).toEqual(['pool:change', 'tenant.made', 'x%y_z']);
  });

  test('an address that is no filter counts as none', () => {
    const given = {
      action: ['a', 'b'],
      from: 'yesterday',
      to: '2026-13-40',
      before: '1 or 1',
      tenant: '../x',
      more: 'x',
    };
    expect(AuditQuery.parse(given)).toEqual(query());
  });
});

describe('what operators read', () => {
  test('all tenants and none, each record with whose it is', async () => {
    const page = await listAllAudit(query());
    expect(page.rows[0]).toMatchObject({ target: 'nobody', tenant: null });
    expect(page.rows[1]).toMatchObject({ target: 'pool/bolt', tenant: { slug: 'bolt', displayName: 'bolt' } });
    expect(targets(await listAllAudit(query({ tenant: 'bolt' })))).toEqual(['pool/bolt', 'bolt']);
    expect(targets(await listAllAudit(query({ tenant: '-' })))).toEqual(['nobody']);
    expect(targets(await listAllAudit(query({ tenant: 'no-such' })))).toEqual([]);
  });
});

async function signIn(userId: string): Promise<void> {
  browser.session = randomBytes(32).toString('base64url');
  const tokenHash = createHash('sha256').update(browser.session).digest('hex');
  await unsafeDb().session.create({ data: { userId, tokenHash, expiresAt: new Date(Date.now() + 3_600_000) } });
}

async function person(subject: string): Promise<string> {
  const identities = { create: { connectionId: 'forge', subject, login: subject } };
  return (await unsafeDb().user.create({ data: { name: subject, identities } })).id;
}

const ask = (search: string) => new Request(`http://portal.test/export?${search}`);
const own = (tenant: string, search = '') => exportOwn(ask(search), { params: Promise.resolve({ tenant }) });
const all = (search = '') => exportAll(ask(search), { params: Promise.resolve({}) });

describe('A25, A1: what is taken away as a file', () => {
  test('CSV holds everything that the filter leaves, and no cell that a spreadsheet would run', async () => {
    await signIn(acme.userId);
    const answer = await own('acme', 'format=csv');
    expect(answer.status).toBe(200);
    expect(answer.headers.get('content-disposition')).toMatch(
      /^attachment; filename="audit-acme-\d{4}-\d\d-\d\d\.csv"$/,
    );
    const csv = (await answer.text()).split('\r\n');
    expect(csv[0]).toBe('number,at,tenant,actor,action,target,before,after,request_id,hash');
    expect(csv.length).toBe(1 + 252 + 1);
    expect(csv[1]).toMatch(/^252,\S+Z,acme,portal,x%y_z,a\\b,,"\{""each"":""=1\+1""\}",,[0-9a-f]{64}$/);
    await unsafeTransaction((tx) => appendSystemAudit(tx, acme.tenantId, { action: 'a', target: '=cmd|calc' }));
    expect(await (await own('acme', 'target=cmd')).text()).toContain(`,"'=cmd|calc",`);
  });

  test('JSON lines hold the same, with the values as they were', async () => {
    await signIn(acme.userId);
    const lines = (await (await own('acme', 'format=jsonl&target=pool/25')).text()).trim().split('\n');
    const records = lines.map((line) => JSON.parse(line) as { number: number; after: unknown; tenant: string });
    expect(records.map(({ number, after, tenant }) => [number, after, tenant])).toEqual([
      [251, { each: 250 }, 'acme'],
      [26, { each: 25 }, 'acme'],
    ]);
  });

  test('a stranger finds nothing, and who may not see the audit neither', async () => {
    await signIn(acme.userId);
    expect([(await own('bolt')).status, (await own('no-such')).status, (await all()).status]).toEqual([404, 404, 404]);
    const member = await person('member');
    await unsafeDb().membership.create({
      data: { tenantId: acme.tenantId, userId: member, role: 'member', source: 'operator' },
    });
    await signIn(member);
    expect((await own('acme')).status).toBe(404);
    browser.session = '';
    expect((await own('acme')).status).toBe(401);
  });

  test('an operator takes away all of it, and each record says whose it is', async () => {
    await signIn(await person('operator'));
    const csv = await (await all('action=pool:change&target=bolt')).text();
    expect(csv.split('\r\n')[1]).toMatch(/^2,\S+Z,bolt,portal,pool:change,pool\/bolt,/);
    expect((await (await all()).text()).split('\r\n').length).toBeGreaterThan(253);
  });

  test('a reader that goes away ends the reading', async () => {
    await signIn(acme.userId);
    const reader = (await own('acme')).body?.getReader();
    expect((await reader?.read())?.done).toBe(false);
    await expect(reader?.cancel()).resolves.toBeUndefined();
  });
});
