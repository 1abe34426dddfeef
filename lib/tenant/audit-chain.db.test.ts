import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tenantTransaction, unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { withDatabase } from '#sandbox/postgres.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { migrate } from '../../prisma/migrate.ts';
import { anchorChains, anchorsIn, appendSystemAudit, verifyAudit, type Anchor } from './index.ts';

let rows: TestRows;
let made = 0;
beforeAll(async () => {
  rows = await startTestRows();
});
afterAll(() => rows?.stop());

const root = fileURLToPath(new URL('../..', import.meta.url));
const noPrivilege = '42501';
const nobody = '00000000-0000-0000-0000-000000000000';

async function connected<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** As the owner of the database who means it: with the table's triggers off. */
async function behindItsBack(statements: [string, unknown[]][]): Promise<void> {
  await connected(rows.database.ownerUrl, async (client) => {
    await client.query('begin');
    await client.query('alter table audit disable trigger user');
    for (const [sql, values] of statements) await client.query(sql, values);
    await client.query('alter table audit enable trigger user');
    await client.query('commit');
  });
}

const write = (tenantId: string | null, target: string, extra: object = {}) =>
  unsafeTransaction((tx) => appendSystemAudit(tx, tenantId, { action: 'pool:change', target, ...extra }));

/** A tenant whose chain is `length` long; the first record is the one that addTenant leaves. */
async function chained(length: number): Promise<TenantRows> {
  made += 1;
  const tenant = await addTenant(`t${made}`);
  for (let each = 2; each <= length; each += 1) await write(tenant.tenantId, `record ${each}`, { after: { each } });
  return tenant;
}

async function found(tenantId: string, anchors: Anchor[] = []): Promise<string> {
  const [report] = await verifyAudit({ tenantId, anchors });
  if (!report) throw new Error('no report');
  return report.problem ? `${report.problem.seq} ${report.problem.says}` : `${report.whole} whole`;
}

/** The next hashes, as somebody would compute them who has the database and this source. */
const rehash = (from: number): string => `
  do $$ declare each audit; link bytea; begin
    select hash into link from audit where tenant_id = current_setting('test.tenant')::uuid and seq = ${from} - 1;
    for each in select * from audit where tenant_id = current_setting('test.tenant')::uuid and seq >= ${from} order by seq loop
      update audit set previous = link, hash = audit_hash(each, each.seq, link) where id = each.id returning hash into link;
    end loop;
    update audit_head set hash = link where chain = current_setting('test.tenant')::uuid;
  end $$`;
const asTenant = (tenantId: string): [string, unknown[]] => [`select set_config('test.tenant', $1, false)`, [tenantId]];

describe('A24, I9: a chain that the database itself writes', () => {
  test('each record follows the one before it, whatever it holds', async () => {
    const { tenantId } = await chained(2);
    const odd = {
      text: 'é "quoted" \\ \n 𝄞',
      numbers: [1.5, -0, 1e21, 12345678901234567890n.toString()],
      deep: { b: 1, a: null },
    };
    await write(tenantId, 'odd', { before: odd, after: [] });
    await write(tenantId, 'x'.repeat(600));
    await unsafeTransaction(async (tx) => {
      for (const each of ['one', 'two', 'three']) await appendSystemAudit(tx, tenantId, { action: 'a', target: each });
    });
    expect(await found(tenantId)).toBe('7 whole');
    const kept = await unsafeDb().audit.findMany({ where: { tenantId }, orderBy: { seq: 'asc' } });
    expect(kept.map(({ seq }) => seq)).toEqual([1n, 2n, 3n, 4n, 5n, 6n, 7n]);
    expect(kept.slice(4).map(({ target }) => target)).toEqual(['one', 'two', 'three']);
    const chains = await verifyAudit();
    expect(chains.filter(({ problem }) => problem)).toEqual([]);
    await write(null, 'nobody’s');
    expect((await verifyAudit()).find(({ chain }) => chain === nobody)).toMatchObject({ tenant: null, problem: null });
  });

  test('what is rolled back leaves no gap', async () => {
    const { tenantId } = await chained(1);
    const undone = tenantTransaction(tenantId, async (tx) => {
      await appendSystemAudit(tx, tenantId, { action: 'a', target: 'undone' });
      throw new Error('undone');
    });
    await expect(undone).rejects.toThrow('undone');
    await write(tenantId, 'kept');
    expect(await found(tenantId)).toBe('2 whole');
  });

  test('50 writers at once leave one unbroken chain', async () => {
    const { tenantId } = await chained(1);
    const writers = Array.from({ length: 50 }, (_, index) =>
      index % 2 === 0
        ? write(tenantId, `writer ${index}`)
        : tenantTransaction(tenantId, (tx) =>
            appendSystemAudit(tx, tenantId, { action: 'a', target: `writer ${index}` }),
          ),
    );
    await Promise.all(writers);
    expect(await found(tenantId)).toBe('51 whole');
  });

  test('who writes of several tenants, in any order and before other locks, waits for nobody in a circle', async () => {
    const [a, b] = [await chained(1), await chained(1)];
    const one = async (first: TenantRows, second: TenantRows, each: number) =>
      unsafeTransaction(async (tx) => {
        await appendSystemAudit(tx, first.tenantId, { action: 'a', target: `${each}` });
        await appendSystemAudit(tx, null, { action: 'a', target: `${each}` });
        await tx.tenant.update({ where: { id: a.tenantId }, data: { displayName: `${each}` } });
        await appendSystemAudit(tx, second.tenantId, { action: 'a', target: `${each}` });
      });
    await Promise.all(Array.from({ length: 24 }, (_, each) => (each % 2 === 0 ? one(a, b, each) : one(b, a, each))));
    expect([await found(a.tenantId), await found(b.tenantId)]).toEqual(['25 whole', '25 whole']);
  });

  test('heads are locked in one order, whatever the order of the records', async () => {
    const [a, b] = [await chained(1), await chained(1)];
    const commits: Promise<unknown>[] = [];
    await connected(rows.database.ownerUrl, async (holder) => {
      await holder.query('begin');
      await holder.query('select from audit_head where chain = $1 for update', [a.tenantId]);
      for (const [order, first, second] of [
        [1, a, b],
        [2, b, a],
      ] as const) {
        commits.push(
          unsafeTransaction(async (tx) => {
            await appendSystemAudit(tx, first.tenantId, { action: 'a', target: 'first' });
            await appendSystemAudit(tx, second.tenantId, { action: 'a', target: 'second' });
          }),
        );
        await eventually('the commit to wait', async () => (await waiting()) === order);
      }
      await holder.query('commit');
    });
    await Promise.all(commits);
    expect([await found(a.tenantId), await found(b.tenantId)]).toEqual(['3 whole', '3 whole']);
  });

  async function waiting(): Promise<number> {
    const sql = `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
    const asked = await connected(rows.database.adminUrl, (client) => client.query<{ n: number }>(sql));
    return asked.rows[0]?.n ?? 0;
  }

  test('records that were there before are chained by the migration, in the order in which they were made', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'flywheel-audit-'));
    const name = `audit_before_${process.pid}`;
    const admin = rows.database.adminUrl;
    const asked = (url: string, sql: string) => connected(url, (client) => client.query(sql));
    const own = withDatabase(rows.database.ownerUrl, name);
    try {
      cpSync(join(root, 'prisma'), folder, { recursive: true });
      const places = { schema: join(folder, 'schema.prisma'), migrations: join(folder, 'migrations') };
      const before = join(folder, 'before');
      cpSync(places.migrations, before, { recursive: true });
      for (const each of readdirSync(before))
        if (each >= '20261125100000') rmSync(join(before, each), { recursive: true, force: true });
      cpSync(join(places.migrations, 'migration_lock.toml'), join(before, 'migration_lock.toml'));
      await asked(admin, `create database ${name} owner flywheel_owner`);
      await migrate(own, { ...places, migrations: before });
      await asked(
        withDatabase(admin, name),
        `insert into audit (id, at, tenant_id, actor, action, target, after)
         select gen_random_uuid(), now() - n * interval '1 minute', case when n % 3 = 0 then null else ('00000000-0000-7000-8000-00000000000' || n % 3)::uuid end,
                'old', 'old', n::text, jsonb_build_object('n', n) from generate_series(1, 30) n`,
      );
      await migrate(own, places);
      const { rows: kept } = await asked(
        own,
        `select seq, target, tenant_id as tenant from audit order by tenant_id nulls first, seq`,
      );
      const ofNobody = kept.slice(0, 10) as { seq: string; target: string }[];
      expect(ofNobody.map(({ seq }) => Number(seq))).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      expect(ofNobody.map(({ target }) => Number(target))).toEqual([30, 27, 24, 21, 18, 15, 12, 9, 6, 3]);
      const url = withDatabase(rows.database.appUrl, name);
      expect(await command([], { DATABASE_URL: url })).toMatchObject({
        code: 0,
        out: expect.stringContaining('30 records in 3 chains: whole.') as string,
      });
    } finally {
      rmSync(folder, { recursive: true, force: true });
      await asked(admin, `drop database if exists ${name} with (force)`);
    }
  });
});

describe('A24: who may not', () => {
  test.each(['flywheel_app', 'flywheel_system'])('%s chooses no place, no hash, no head and no time', async (role) => {
    const { tenantId } = await chained(3);
    await connected(rows.database.appUrl, async (client) => {
      await client.query(`set role ${role}`);
      await client.query(`select set_config('app.tenant_id', $1, false)`, [tenantId]);
      const refused = async (sql: string) =>
        client.query(sql).then(
          () => 'done',
          (error: { code: string }) => error.code,
        );
      const insert = (column: string, value: string) =>
        `insert into audit (id, tenant_id, actor, action, target, ${column}) values (gen_random_uuid(), '${tenantId}', 'x', 'x', 'x', ${value})`;
      for (const sql of [
        insert('seq', '2'),
        insert('hash', `'\\x00'`),
        insert('previous', `'\\x00'`),
        `update audit set target = 'x'`,
        `update audit set seq = 9 where seq = 1`,
        'delete from audit',
        'truncate audit',
        'update audit_head set seq = 1',
        'delete from audit_head',
        `insert into audit_head values (gen_random_uuid(), 1, '\\x00')`,
        `update audit_anchor set seq = 1`,
        'delete from audit_anchor',
        'alter table audit disable trigger user',
        `set session_replication_role = replica`,
        'select audit_chain_added()',
      ])
        expect([sql, await refused(sql)]).toEqual([sql, noPrivilege]);
      await client.query(insert('at', `'1970-01-01'`));
    });
    const last = await unsafeDb().audit.findFirstOrThrow({ where: { tenantId, seq: 4n } });
    expect(Date.now() - last.at.getTime()).toBeLessThan(60_000);
    expect(await found(tenantId)).toBe('4 whole');
  });

  test('the owner does nothing to a record by mistake', async () => {
    const { tenantId } = await chained(2);
    await connected(rows.database.ownerUrl, async (client) => {
      for (const sql of [
        `update audit set target = 'x'`,
        `update audit set seq = 7`,
        'delete from audit',
        'truncate audit',
      ])
        await expect(client.query(sql)).rejects.toThrow('audit records are added and never changed');
    });
    expect(await found(tenantId)).toBe('2 whole');
  });
});

describe('A24: what the owner of the database did behind its back is found, at the first bad record', () => {
  const own = 'tenant_id = $1';
  type Case = [what: string, statements: (t: TenantRows, other: TenantRows) => [string, unknown[]][], says: RegExp];
  const cases: Case[] = [
    [
      'edited a record',
      (t) => [[`update audit set target = 'mine' where ${own} and seq = 3`, [t.tenantId]]],
      /^3 was changed/,
    ],
    [
      'edited what a record says was there before',
      (t) => [[`update audit set after = '{"each": 4}' where ${own} and seq = 3`, [t.tenantId]]],
      /^3 was changed/,
    ],
    [
      'edited who did it',
      (t) => [[`update audit set actor = 'you' where ${own} and seq = 1`, [t.tenantId]]],
      /^1 was changed/,
    ],
    [
      'edited when it was',
      (t) => [[`update audit set at = at - interval '1 microsecond' where ${own} and seq = 3`, [t.tenantId]]],
      /^3 was changed/,
    ],
    [
      'edited a record and gave it its hash',
      (t) => [
        [`update audit set target = 'mine' where ${own} and seq = 3`, [t.tenantId]],
        [`update audit set hash = audit_hash(audit, seq, previous) where ${own} and seq = 3`, [t.tenantId]],
      ],
      /^3 is not the one that record 4 was chained to/,
    ],
    ['deleted a record', (t) => [[`delete from audit where ${own} and seq = 3`, [t.tenantId]]], /^3 is missing: .* 4/],
    ['deleted the first', (t) => [[`delete from audit where ${own} and seq = 1`, [t.tenantId]]], /^1 is missing/],
    [
      'deleted a record and moved up the rest',
      (t) => [
        [`delete from audit where ${own} and seq = 3`, [t.tenantId]],
        [`update audit set seq = 3 where ${own} and seq = 4`, [t.tenantId]],
        [`update audit set seq = 4 where ${own} and seq = 5`, [t.tenantId]],
      ],
      /^3 was changed, moved or put in/,
    ],
    [
      'changed the order of two',
      (t) => [
        [`update audit set seq = 99 where ${own} and seq = 2`, [t.tenantId]],
        [`update audit set seq = 2 where ${own} and seq = 3`, [t.tenantId]],
        [`update audit set seq = 3 where ${own} and seq = 99`, [t.tenantId]],
      ],
      /^2 was changed, moved or put in/,
    ],
    [
      'cut off the end',
      (t) => [[`delete from audit where ${own} and seq > 3`, [t.tenantId]]],
      /^4 and all up to 5 are missing at the end: the chain’s head says 5/,
    ],
    [
      'put one in between',
      (t) => [
        [`update audit set seq = seq + 100 where ${own} and seq >= 3`, [t.tenantId]],
        [`update audit set seq = seq - 99 where ${own} and seq >= 100`, [t.tenantId]],
        [
          `insert into audit (id, tenant_id, actor, action, target, seq, previous, hash)
           select gen_random_uuid(), tenant_id, 'x', 'x', 'x', 3, hash, sha256('x') from audit where ${own} and seq = 2`,
          [t.tenantId],
        ],
      ],
      /^3 was changed, moved or put in/,
    ],
    [
      'put one in outside of the chain',
      (t) => [
        [
          `insert into audit (id, tenant_id, actor, action, target) values (gen_random_uuid(), $1, 'x', 'x', 'x')`,
          [t.tenantId],
        ],
      ],
      /^0 \(id .*\) is outside of the chain/,
    ],
    [
      'put one on the end, past the head',
      (t) => [
        [
          `insert into audit (id, tenant_id, actor, action, target, seq, previous)
           select gen_random_uuid(), tenant_id, 'x', 'x', 'x', 6, hash from audit where ${own} and seq = 5`,
          [t.tenantId],
        ],
        [`update audit set hash = audit_hash(audit, seq, previous) where ${own} and seq = 6`, [t.tenantId]],
      ],
      /^6 was added past the end: the chain’s head says 5/,
    ],
    [
      'gave the last one to another tenant',
      (t, other) => [
        [`delete from audit where tenant_id = $1 and seq = 5`, [other.tenantId]],
        [`update audit set tenant_id = $2 where ${own} and seq = 5`, [t.tenantId, other.tenantId]],
      ],
      /^5 is missing at the end/,
    ],
    [
      'took one from another tenant',
      (t, other) => [
        [`delete from audit where ${own} and seq = 5`, [t.tenantId]],
        [`update audit set tenant_id = $2 where ${own} and seq = 5`, [other.tenantId, t.tenantId]],
      ],
      /^5 was changed, moved or put in/,
    ],
    ['removed the head', (t) => [[`delete from audit_head where chain = $1`, [t.tenantId]]], /^5 has no head/],
  ];

  test.each(cases)('who %s', async (_, statements, says) => {
    const [tenant, other] = [await chained(5), await chained(5)];
    expect(await found(tenant.tenantId)).toBe('5 whole');
    await behindItsBack(statements(tenant, other));
    expect(await found(tenant.tenantId)).toMatch(says);
  });
});

describe('A24: anchors show what a chain cannot: its end cut off, or all of it written anew', () => {
  const now = () => new Date('2026-11-25T12:00:00.000Z');

  async function anchored(): Promise<{ tenantId: string; elsewhere: Anchor[] }> {
    const { tenantId } = await chained(3);
    await anchorChains(now());
    await write(tenantId, 'record 4');
    await write(tenantId, 'record 5');
    await anchorChains(now());
    const kept = await unsafeDb().auditAnchor.findMany({ where: { chain: tenantId }, orderBy: { seq: 'asc' } });
    expect(kept.map(({ seq }) => seq)).toEqual([3n, 5n]);
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    const lines = kept.map(({ chain, seq, hash, at, mac }) =>
      JSON.stringify({
        level: 30,
        anchor: { chain, seq: String(seq), hash: hex(hash), at: at.toISOString(), mac: hex(mac) },
      }),
    );
    const elsewhere = anchorsIn(['no anchor', ...lines, '{"mac": 1}', '{"mac"', ''].join('\n'));
    expect(elsewhere.length).toBe(2);
    return { tenantId, elsewhere };
  }

  const cutTo = (tenantId: string, seq: number): [string, unknown[]][] => [
    [`delete from audit where tenant_id = $1 and seq > $2`, [tenantId, seq]],
    [
      `update audit_head h set seq = a.seq, hash = a.hash from audit a where a.tenant_id = h.chain and h.chain = $1 and a.seq = $2`,
      [tenantId, seq],
    ],
  ];

  test('a chain that is as it was says to which anchor it was held', async () => {
    const { tenantId } = await anchored();
    expect(await verifyAudit({ tenantId })).toEqual([
      expect.objectContaining({ whole: 5n, problem: null, anchored: { seq: 5n, at: now().toISOString() } }),
    ]);
    // Nothing was added, so nothing is anchored again.
    const count = await unsafeDb().auditAnchor.count();
    await anchorChains(now());
    expect(await unsafeDb().auditAnchor.count()).toBe(count);
  });

  test('who cut off the end and mended the head', async () => {
    const { tenantId } = await anchored();
    await behindItsBack(cutTo(tenantId, 3));
    expect(await found(tenantId)).toBe(
      `4 and all up to 5 are missing at the end: record 5 was anchored at ${now().toISOString()}`,
    );
    // Nor does the next anchor make it good.
    await anchorChains(now());
    await write(tenantId, 'another 4');
    await anchorChains(now());
    expect(await found(tenantId)).toMatch(/^5 is missing at the end/);
    await write(tenantId, 'another 5');
    await anchorChains(now());
    expect(await found(tenantId)).toMatch(/^5 is not the one that was anchored .* after record 3, was written anew/);
  });

  test('who removed the anchors too is found by those in the log', async () => {
    const { tenantId, elsewhere } = await anchored();
    await behindItsBack([...cutTo(tenantId, 4), ['delete from audit_anchor where chain = $1 and seq > 3', [tenantId]]]);
    expect(await found(tenantId)).toBe('4 whole');
    expect(await found(tenantId, elsewhere)).toMatch(/^5 is missing at the end: record 5 was anchored at/);
    await behindItsBack([
      ['delete from audit where tenant_id = $1', [tenantId]],
      ['delete from audit_head where chain = $1', [tenantId]],
      ['delete from audit_anchor where chain = $1', [tenantId]],
    ]);
    const reports = await verifyAudit({ anchors: elsewhere });
    expect(reports.find(({ chain }) => chain === tenantId)?.problem?.says).toMatch(/^and all up to 5 are missing/);
  });

  test('who edited a record and wrote all later hashes anew', async () => {
    const { tenantId } = await anchored();
    await behindItsBack([
      [`update audit set target = 'mine' where tenant_id = $1 and seq = 4`, [tenantId]],
      asTenant(tenantId),
      [rehash(4), []],
    ]);
    expect(await found(tenantId)).toMatch(
      /^5 is not the one that was anchored at .*: it, or one after record 3, was written anew/,
    );
  });

  test('an anchor that the portal’s key did not sign is one', async () => {
    const { tenantId, elsewhere } = await anchored();
    const forged = elsewhere.map((anchor) => ({ ...anchor, hash: 'ab'.repeat(32) }));
    expect(await found(tenantId, forged)).toMatch(/^3 has an anchor of .* that the portal’s key did not sign/);
    await behindItsBack([
      ...cutTo(tenantId, 4),
      [
        `update audit_anchor a set seq = h.seq, hash = h.hash from audit_head h where h.chain = a.chain and a.chain = $1 and a.seq = 5`,
        [tenantId],
      ],
    ]);
    expect(await found(tenantId)).toMatch(/^4 has an anchor of .* that the portal’s key did not sign/);
  });

  test('what does not follow from the last anchor is not anchored', async () => {
    const { tenantId } = await anchored();
    await write(tenantId, 'record 6');
    await behindItsBack([[`update audit set target = 'mine' where tenant_id = $1 and seq = 6`, [tenantId]]]);
    await anchorChains(now());
    expect(await unsafeDb().auditAnchor.count({ where: { chain: tenantId } })).toBe(2);
  });
});

async function command(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; out: string; err: string }> {
  const run = promisify(execFile)(process.execPath, ['lib/verify-audit.ts', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
  });
  return run.then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout,
      err: error.stderr,
    }),
  );
}

describe('npm run -s audit:verify', () => {
  test('counts what is whole, and names the first bad record of a tenant in words', async () => {
    const { tenantId, slug } = await chained(4);
    expect(await command(['--tenant', slug])).toEqual({
      code: 0,
      out: `tenant ${slug}: 4 whole, no anchor to hold them to.\n4 records in 1 chain: whole.\n`,
      err: '',
    });
    await anchorChains(new Date());
    const anchors = await unsafeDb().auditAnchor.findMany({ where: { chain: tenantId } });
    const folder = mkdtempSync(join(tmpdir(), 'flywheel-anchors-'));
    const file = join(folder, 'portal.log');
    const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
    writeFileSync(
      file,
      anchors
        .map(
          ({ seq, hash, at, mac }) =>
            `${JSON.stringify({ anchor: { chain: tenantId, seq: `${seq}`, hash: hex(hash), at, mac: hex(mac) }, msg: 'audit anchored' })}\n`,
        )
        .join(''),
    );
    await behindItsBack([
      ['delete from audit where tenant_id = $1 and seq = 4', [tenantId]],
      [
        'update audit_head h set seq = 3, hash = a.hash from audit a where a.tenant_id = h.chain and h.chain = $1 and a.seq = 3',
        [tenantId],
      ],
      ['delete from audit_anchor where chain = $1', [tenantId]],
    ]);
    expect(await command(['--tenant', slug])).toMatchObject({ code: 0 });
    const cut = await command(['--tenant', slug, '--anchor', file]);
    expect(cut).toMatchObject({ code: 1, err: '' });
    expect(cut.out).toContain(`tenant ${slug}: record 4 is missing at the end: record 4 was anchored at`);
    expect(cut.out).toContain('1 of 1 chain not whole.');
    rmSync(folder, { recursive: true });
  });

  test.each([
    [['--tenant', 'nobody-here'], 'There is no tenant nobody-here.'],
    [['--anchor', 'package.json'], 'package.json holds no anchor.'],
    [['--all'], '--tenant SLUG'],
  ])('%j is answered in words, and not by 1', async (args, says) => {
    const { code, err } = await command(args);
    expect(code).toBe(2);
    expect(err).toContain(says);
  });
});
