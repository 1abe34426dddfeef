import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withoutSecrets } from '#lib/telemetry/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { tenantModels } from './models.ts';
import { open, seal, tenantDb, tenantTransaction, unsafeDb, unsafeTransaction, type TenantDb } from './index.ts';

let rows: TestRows;
let a: TenantRows;
let b: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  a = await addTenant('acme');
  b = await addTenant('bolt');
});
afterAll(() => rows?.stop());

/** The tables of the tenants' models: `EnrollmentPool` is kept as `enrollment_pool`. */
const tenantTables = Object.keys(tenantModels).map((model) =>
  model.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase(),
);

/** What the application role may not even ask for. */
const unreadable = new Set(['credential']);

async function connected<T>(url: string, use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function asked(url: string, sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  return connected(url, async (client) => (await client.query<Record<string, unknown>>(sql, values)).rows);
}

/** The SQLSTATE with which Postgres refused, or how many rows it touched. */
async function touched(client: pg.Client, sql: string, values: unknown[] = []): Promise<string | number | null> {
  return client.query(sql, values).then(
    (result) => result.rowCount,
    (error: { code: string }) => error.code,
  );
}

const noPrivilege = '42501';

describe('A3: what Postgres itself keeps apart', () => {
  test('every tenant’s table has row security, enabled and forced, and no other table has a tenant', async () => {
    const fenced = await asked(
      rows.database.ownerUrl,
      `select relname as name, relrowsecurity as enabled, relforcerowsecurity as forced, rolname as owner
       from pg_class join pg_roles on pg_roles.oid = relowner where relname = any($1) and relkind = 'r' order by 1`,
      [tenantTables],
    );
    const owner = 'flywheel_owner';
    expect(fenced).toEqual(tenantTables.toSorted().map((name) => ({ name, enabled: true, forced: true, owner })));
    const withTenant = await asked(
      rows.database.ownerUrl,
      `select table_name as name from information_schema.columns where column_name = 'tenant_id' and table_schema = 'public'`,
    );
    expect(withTenant.map(({ name }) => String(name)).toSorted()).toEqual(
      tenantTables.filter((name) => name !== 'tenant').toSorted(),
    );
  });

  test('each role owns nothing and may pass by nothing', async () => {
    const roles = await asked(
      rows.database.ownerUrl,
      `select rolname as name, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication,
              (select count(*)::int from pg_class where relowner = pg_roles.oid) as owned
       from pg_roles where rolname in ('flywheel_app', 'flywheel_system') order by 1`,
    );
    const nothing = {
      rolsuper: false,
      rolbypassrls: false,
      rolcreaterole: false,
      rolcreatedb: false,
      rolreplication: false,
    };
    expect(roles).toEqual(['flywheel_app', 'flywheel_system'].map((name) => ({ name, ...nothing, owned: 0 })));
    // Being allowed to become flywheel_system gives flywheel_app none of its rights.
    const [inherited] = await asked(
      rows.database.ownerUrl,
      `select bool_or(inherit_option) as inherits from pg_auth_members
       where member = 'flywheel_app'::regrole and roleid = 'flywheel_system'::regrole`,
    );
    expect(inherited).toEqual({ inherits: false });
  });

  test.each([
    ['nothing was set', ''],
    ['the setting is empty', "select set_config('app.tenant_id', '', false)"],
    ['a stranger was set', "select set_config('app.tenant_id', '00000000-0000-7000-8000-000000000000', false)"],
  ])('where %s, no row of any tenant is seen, changed or removed', async (_, setting) => {
    await connected(rows.database.appUrl, async (client) => {
      if (setting) await client.query(setting);
      for (const table of tenantTables) {
        expect([table, await touched(client, `select 1 from ${table}`)]).toEqual([
          table,
          unreadable.has(table) ? noPrivilege : 0,
        ]);
        const key = table === 'tenant' ? 'id' : 'tenant_id';
        expect([0, noPrivilege]).toContain(await touched(client, `update ${table} set ${key} = ${key}`));
        expect([0, noPrivilege]).toContain(await touched(client, `delete from ${table}`));
      }
    });
  });

  test('where nothing was set, no row can be added, and within one tenant none of another', async () => {
    const inserts: [string, unknown[]][] = [
      [
        `insert into enrollment (id, tenant_id, name, connection_id, level, path, scope_id)
         values (gen_random_uuid(), $1, 'sly', 'forge', 'organization', 'sly', 'sly')`,
        [b.tenantId],
      ],
      [
        `insert into enrollment_pool (scale_set_name, tenant_id, enrollment_id, pool_name, min_runners, max_runners)
         values ('sly', $1, $2, 'docker', 0, 1)`,
        [b.tenantId, b.enrollmentId],
      ],
      [
        `insert into plan (id, tenant_id, enrollment_id, kind, base_generation, spec, observed_hash, changes, cluster_checked)
         values (gen_random_uuid(), $1, $2, 'enroll', 0, '{}', '', '[]', false)`,
        [b.tenantId, b.enrollmentId],
      ],
      [
        `insert into audit (id, tenant_id, actor, action, target) values (gen_random_uuid(), $1, 'sly', 'sly', 'sly')`,
        [b.tenantId],
      ],
      [
        `insert into membership (tenant_id, user_id, role, source) values ($1, $2, 'admin', 'operator')`,
        [b.tenantId, a.userId],
      ],
      [
        `insert into credential (id, tenant_id, enrollment_id, kind, sealed_value, updated_at)
         values (gen_random_uuid(), $1, $2, 'sly', 'sly', now())`,
        [b.tenantId, b.enrollmentId],
      ],
      [
        `insert into github_app (id, tenant_id, connection_id, account_id, account_login, app_id, slug, sealed_private_key,
                                 sealed_webhook_secret, updated_at)
         values (gen_random_uuid(), $1, 'forge', 'sly', 'sly', 'sly', 'sly', 'sly', 'sly', now())`,
        [b.tenantId],
      ],
      [
        `insert into notice (id, tenant_id, audience, kind, title, body, dedupe_key)
         values (gen_random_uuid(), $1, 'tenant', 'sly', 'sly', 'sly', 'sly')`,
        [b.tenantId],
      ],
      [
        `insert into webhook_endpoint (id, tenant_id, url, sealed_secret) values (gen_random_uuid(), $1, 'sly', 'sly')`,
        [b.tenantId],
      ],
      [
        `insert into webhook_message (id, tenant_id, endpoint_id, kind, body) values ('sly', $1, gen_random_uuid(), 'sly', '{}')`,
        [b.tenantId],
      ],
      [
        `insert into invitation (id, tenant_id, role, connection_id, login, token_hash, invited_by_id, invited_by, expires_at)
         values (gen_random_uuid(), $1, 'admin', 'forge', 'sly', 'sly', $2, 'sly', now())`,
        [b.tenantId, a.userId],
      ],
      [
        `insert into repair (id, tenant_id, enrollment_id, finding_id, kind, params, changes, dry_run, created_by)
         values (gen_random_uuid(), $1, $2, $3, 'sly', '{}', '[]', false, 'sly')`,
        [b.tenantId, b.enrollmentId, b.findingId],
      ],
      [
        `insert into proof_run (id, tenant_id, enrollment_id) values (gen_random_uuid(), $1, $2)`,
        [b.tenantId, b.enrollmentId],
      ],
      [
        `insert into proof_setting (enrollment_id, tenant_id, updated_at) values ($2, $1, now())`,
        [b.tenantId, b.enrollmentId],
      ],
      [
        `insert into finding (id, tenant_id, enrollment_id, kind, subject, severity, title, words, evidence, offers, first_seen_at, last_seen_at)
         values (gen_random_uuid(), $1, $2, 'sly', 'sly', 'bad', 'sly', 'sly', '[]', '[]', now(), now())`,
        [b.tenantId, b.enrollmentId],
      ],
      [
        `insert into stray_job (connection_id, external_id, enrollment_id, tenant_id, repository, queued_at)
         values ('forge', 'sly', $2, $1, 'sly', now())`,
        [b.tenantId, b.enrollmentId],
      ],
      [
        `insert into usage_hour (source_id, meter, hour, tenant_id, highest)
         values ('sly', 'runnerSeconds', date_trunc('hour', now()), $1, 1)`,
        [b.tenantId],
      ],
      [`insert into budget (id, tenant_id, name, amount) values (gen_random_uuid(), $1, 'sly', 1)`, [b.tenantId]],
      [`insert into cost_tag (tenant_id, key, value) values ($1, 'sly', 'sly')`, [b.tenantId]],
      [
        `insert into invoice (id, tenant_id, period, number, currency, total, closed_by)
         values (gen_random_uuid(), $1, 'sly', 'sly', 'USD', 0, 'sly')`,
        [b.tenantId],
      ],
      [
        `insert into cache_token (id, tenant_id, server_id, kind, user_id, holder, scope, used_in, key_id, expires_at)
         values (gen_random_uuid(), $1, 'attic', 'person', $2, 'sly', '{}', 'sly', 'sly', now() + interval '1 day')`,
        [b.tenantId, a.userId],
      ],
      [`insert into cache_reading (tenant_id, source, observed_at) values ($1, 'sly', now())`, [b.tenantId]],
    ];
    await connected(rows.database.appUrl, async (client) => {
      for (const setting of ['', a.tenantId]) {
        await client.query(`select set_config('app.tenant_id', $1, false)`, [setting]);
        for (const [sql, values] of inserts) expect(await touched(client, sql, values)).toBe(noPrivilege);
      }
    });
  });

  test('a setting of a transaction that a pooled connection ran before does not leak', async () => {
    await connected(rows.database.appUrl, async (client) => {
      await client.query('begin');
      await client.query(`select set_config('app.tenant_id', $1, true)`, [a.tenantId]);
      expect(await touched(client, 'select 1 from enrollment')).toBe(1);
      await client.query('commit');
      expect(await touched(client, 'select 1 from enrollment')).toBe(0);
    });
    // More calls at once than the pool has connections, so that each connection serves both.
    const calls = Array.from({ length: 60 }, (_, index) => (index % 2 === 0 ? a : b));
    const seen = await Promise.all(calls.map(({ tenantId }) => tenantDb(tenantId).enrollment.findMany()));
    expect(seen.map((each) => each.map(({ tenantId }) => tenantId))).toEqual(calls.map(({ tenantId }) => [tenantId]));
    // The client's own raw queries are hidden by its type, and see nothing where a type is passed by.
    const raw = tenantDb(a.tenantId) as TenantDb & { $queryRawUnsafe: (sql: string) => Promise<unknown[]> };
    expect(await raw.$queryRawUnsafe('select 1 from enrollment')).toEqual([]);
  });

  test('secrets and sessions are not the application role’s to read', async () => {
    await connected(rows.database.appUrl, async (client) => {
      await client.query(`select set_config('app.tenant_id', $1, false)`, [a.tenantId]);
      for (const sql of [
        'select 1 from session',
        'select 1 from identity',
        'select 1 from delivery',
        'select 1 from credential',
        'select 1 from cache_server',
        'select 1 from errand',
        'select token_hash from invitation',
        'select sealed_private_key from github_app',
        'select sealed_webhook_secret from github_app',
        'select sealed_client_secret from forge_connection',
        'select sealed_private_key from forge_connection',
        'select sealed_secret from webhook_endpoint',
        'select sealed_previous from webhook_endpoint',
        'select 1 from notice_read',
        'select 1 from audit_head',
        'select 1 from audit_anchor',
      ])
        expect([sql, await touched(client, sql)]).toEqual([sql, noPrivilege]);
      expect(await touched(client, 'select slug from github_app')).toBe(1);
      expect(await touched(client, 'select login from invitation')).toBe(1);
      expect(await touched(client, 'select 1 from app_user')).toBe(1);
      expect(await touched(client, 'select 1 from billing_account')).toBe(1);
    });
  });

  test('what was recorded stays recorded, for either role', async () => {
    for (const role of ['flywheel_app', 'flywheel_system']) {
      await connected(rows.database.appUrl, async (client) => {
        await client.query(`set role ${role}`);
        await client.query(`select set_config('app.tenant_id', $1, false)`, [a.tenantId]);
        for (const sql of [
          `update audit set actor = 'nobody'`,
          'delete from audit',
          'truncate audit',
          'update usage_reading set quantity = 0',
          'delete from usage_reading',
          'truncate usage_reading',
          'update invoice set total = 0',
          'delete from invoice',
          'update invoice_line set list_cost = 0',
          'delete from invoice_line',
        ])
          expect([role, sql, await touched(client, sql)]).toEqual([role, sql, noPrivilege]);
      });
    }
    expect(await unsafeDb().audit.count()).toBe(2);
  });
});

describe('A1, A4: tenantDb sees one tenant, whatever it is asked', () => {
  const ids = (found: { tenantId: string | null }[]) => [...new Set(found.map(({ tenantId }) => tenantId))];

  test('reading', async () => {
    const db = tenantDb(a.tenantId);
    const hostile = [
      { tenantId: b.tenantId },
      { tenantId: { not: '' } },
      { tenantId: undefined },
      { OR: [{ tenantId: b.tenantId }, {}] },
      { NOT: { tenantId: a.tenantId } },
      { AND: [{ tenantId: b.tenantId }] },
      { id: b.enrollmentId },
      { tenant: { slug: b.slug } },
    ] as object[];
    for (const where of hostile) {
      const found = await db.enrollment.findMany({ where }).catch(() => []);
      expect([where, ids(found).filter((id) => id !== a.tenantId)]).toEqual([where, []]);
      const first = await db.enrollment.findFirst({ where }).catch(() => null);
      expect([where, first?.tenantId ?? a.tenantId]).toEqual([where, a.tenantId]);
    }
    expect(await db.enrollment.findUnique({ where: { id: b.enrollmentId } })).toBeNull();
    expect(await db.enrollment.count({ where: { tenantId: b.tenantId } })).toBe(1); // A's own: its id replaces B's.
    expect((await db.tenant.findMany()).map(({ id }) => id)).toEqual([a.tenantId]);
    expect(ids(await db.audit.findMany())).toEqual([a.tenantId]);
    const groups = await db.enrollment.groupBy({ by: ['tenantId'], _count: true });
    expect(groups.map(({ tenantId }) => tenantId)).toEqual([a.tenantId]);
    // What is reached through what is global is fenced by row security alone.
    const [cluster] = await db.cluster.findMany({ include: { tenants: true } });
    expect(cluster?.tenants.map(({ id }) => id)).toEqual([a.tenantId]);
  });

  test('changing', async () => {
    const db = tenantDb(a.tenantId);
    const before = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: b.enrollmentId } });
    const attempts: (() => Promise<unknown>)[] = [
      () => db.enrollment.update({ where: { id: b.enrollmentId }, data: { name: 'sly' } }),
      () => db.enrollment.update({ where: { id: b.enrollmentId, tenantId: b.tenantId }, data: { name: 'sly' } }),
      () => db.enrollment.delete({ where: { id: b.enrollmentId } }),
      // One's own rows may not be given away, or tied to another's.
      () => db.enrollment.update({ where: { id: a.enrollmentId }, data: { tenantId: b.tenantId } }),
      () => db.enrollment.updateMany({ data: { tenantId: b.tenantId } }),
      () => db.tenant.update({ where: { id: a.tenantId }, data: { enrollments: { connect: { id: b.enrollmentId } } } }),
      () => db.tenant.update({ where: { id: a.tenantId }, data: { id: b.tenantId } }),
    ];
    const outcomes = await Promise.all(
      attempts.map((attempt) =>
        attempt().then(
          () => 'done',
          () => 'refused',
        ),
      ),
    );
    expect(outcomes).toEqual(attempts.map(() => 'refused'));
    const made = { ...before, conditions: [], spec: {}, draft: {} };
    const upsert = { where: { id: b.enrollmentId }, update: { name: 'sly' }, create: made };
    expect(await db.enrollment.upsert(upsert).catch(() => null)).toBeNull();
    const many = { where: { tenantId: b.tenantId, id: b.enrollmentId } };
    expect(await db.enrollment.updateMany({ ...many, data: { name: 'sly' } })).toEqual({ count: 0 });
    expect(await db.enrollment.updateManyAndReturn({ ...many, data: { name: 'sly' } })).toEqual([]);
    expect(await db.enrollment.deleteMany(many)).toEqual({ count: 0 });
    expect(await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: b.enrollmentId } })).toEqual(before);
    expect(await unsafeDb().enrollment.count({ where: { tenantId: a.tenantId } })).toBe(1);
  });

  test('adding: the row is this tenant’s, whatever it says', async () => {
    const entry = { tenantId: b.tenantId, actor: 'sly', action: 'x', target: 'x' };
    expect((await tenantDb(a.tenantId).audit.create({ data: entry })).tenantId).toBe(a.tenantId);
    await tenantDb(a.tenantId).audit.createMany({ data: [entry, entry] });
    expect(await unsafeDb().audit.count({ where: { actor: 'sly', tenantId: a.tenantId } })).toBe(3);
    expect(await unsafeDb().audit.count({ where: { actor: 'sly', tenantId: b.tenantId } })).toBe(0);
  });

  test('a transaction has no first fence and needs none', async () => {
    const seen = await tenantTransaction(a.tenantId, async (tx) => ({
      all: await tx.enrollment.findMany(),
      raw: await tx.$queryRaw<{ tenant_id: string }[]>`select tenant_id from enrollment`,
      moved: await tx.enrollment.updateMany({ where: { tenantId: b.tenantId }, data: { name: 'sly' } }),
    }));
    expect(ids(seen.all)).toEqual([a.tenantId]);
    expect(seen.raw).toEqual([{ tenant_id: a.tenantId }]);
    expect(seen.moved.count).toBe(0);
    const forB = { tenantId: b.tenantId, actor: 'sly', action: 'x', target: 'x' };
    const given = tenantTransaction(a.tenantId, (tx) => tx.audit.create({ data: forB }));
    await expect(given).rejects.toThrow(/row-level security/);
  });

  test.each(['', 'acme', undefined, null, {}, { not: '' }, ['?'], "x' or true"])('%j is no tenant', async (id) => {
    const given = (Array.isArray(id) ? [a.tenantId] : id) as string;
    expect(() => tenantDb(given)).toThrow(TypeError);
    await expect(tenantTransaction(given, () => Promise.resolve())).rejects.toThrow(TypeError);
  });
});

describe('A23: sealed secrets', () => {
  const canary = 'canary-7d1f';

  test('opens where it was sealed, and nowhere else', async () => {
    const place = `tenant/${a.tenantId}/enrollment/${a.enrollmentId}/bazel-password`;
    const sealed = await seal(canary, place);
    expect(sealed).not.toContain(canary);
    expect(await open(sealed, place)).toBe(canary);
    // And from then on it is in nothing that this process writes.
    expect(withoutSecrets(`refused: ${canary}`)).toBe('refused: [cut]');
    // The same secret is never sealed to the same text, so equal secrets do not show.
    expect(await seal(canary, place)).not.toBe(sealed);
    const swapped = await seal(canary, `tenant/${b.tenantId}/enrollment/${b.enrollmentId}/bazel-password`);
    await expect(open(swapped, place)).rejects.toMatchObject({ code: 'internal' });
  });

  test('does not open when a place is written into it, a bit is changed, or the key is another', async () => {
    const sealed = await seal(canary, 'here');
    const [, ...rest] = sealed.split('.');
    const header = Buffer.from(JSON.stringify({ alg: 'dir', enc: 'A256GCM', place: 'there' })).toString('base64url');
    await expect(open([header, ...rest].join('.'), 'there')).rejects.toMatchObject({ code: 'internal' });
    const flipped = sealed.replace(/\.([^.]+)\.([^.]+)$/, (_, text: string, tag: string) => `.${text}A.${tag}`);
    for (const other of [flipped, '', 'x', '....', canary])
      await expect(open(other, 'here')).rejects.toMatchObject({ code: 'internal' });
    const error: unknown = await open(flipped, 'here').catch((thrown: unknown) => thrown);
    expect(JSON.stringify(error) + String(error)).not.toContain(canary);
  });
});

test('a statement that says so is planned once a connection, and no other', async () => {
  const planned = await unsafeTransaction(async (tx) => {
    for (const n of [1, 2]) await tx.$queryRaw`/* prepared: told_apart */ select ${n}::int as n`;
    await tx.$queryRaw`select ${3}::int as unnamed`;
    return tx.$queryRaw`
      select name, generic_plans + custom_plans as uses from pg_prepared_statements where statement ~ 'as (n|unnamed)$'`;
  });
  expect(planned).toEqual([{ name: 'told_apart', uses: 2n }]);
});
