import { execFile } from 'node:child_process';
import { createCipheriv, createHash, hkdfSync, randomBytes, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { fileURLToPath } from 'node:url';
import { zstdCompressSync } from 'node:zlib';
import { CompactEncrypt } from 'jose';
import { encode } from 'next-auth/jwt';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { addTenant, startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { startWorkerProcess } from '#sandbox/test-support/worker-process.ts';
import type { Anchor } from './tenant/index.ts';

/*
 * Rotation of the portal's secret key without a stop: what the former key sealed and signed opens and verifies, workers make
 * it the present key's, and then the former one can be taken away.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const key = () => randomBytes(32).toString('base64');
const [former, present] = [key(), key()];
const none = () => Promise.resolve();

let rows: TestRows;
let folder: string;
let signed: Anchor;

/** The portal's rooms as another process has them that was given these keys. */
async function processWith(secretKey: string, ...others: string[]) {
  vi.resetModules();
  Object.assign(process.env, { FLYWHEEL_SECRET_KEY: secretKey, FLYWHEEL_SECRET_KEYS_OLD: others.join(',') });
  const [db, state, tenant] = [
    await import('./db/index.ts'),
    await import('./state/index.ts'),
    await import('./tenant/index.ts'),
  ];
  // It is read once a process.
  db.presentKey();
  return { ...db, ...state, ...tenant };
}

async function asOwner<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: rows.database.ownerUrl });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

/** As `seal` did before values named their key. */
function sealedUnnamed(plain: string, place: string): Promise<string> {
  return new CompactEncrypt(Buffer.from(plain))
    .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', place })
    .encrypt(Buffer.from(former, 'base64'));
}

const placeOf = (table: string, column: string) => `test/${table}/${column}`;

/** A secret in every column that holds any. */
async function fill(): Promise<void> {
  const { sealedTexts, seal, unsafeDb } = await processWith(former);
  const { userId, tenantId } = await addTenant('acme');
  await unsafeDb().webhookEndpoint.create({
    data: { tenantId, url: 'https://acme.example', kinds: [], sealedSecret: '' },
  });
  await unsafeDb().identity.create({ data: { userId, connectionId: 'forge', subject: '1', login: 'ada' } });
  const token = { userId, name: 'ci', tokenHash: 'hash', scopes: ['read'], expiresAt: new Date('2030-01-01') };
  const answer = { key: 'k', requestHash: 'x', status: 200, sealedBody: '' };
  await unsafeDb().apiToken.create({ data: { ...token, answers: { create: answer } } });
  for (const { table, column } of sealedTexts) {
    const place = placeOf(table, column);
    const isOld = column === 'sealed_webhook_secret';
    const sealed = await (isOld ? sealedUnnamed : seal)(`secret of ${table}.${column}`, place);
    const count = await unsafeDb().$executeRawUnsafe(`update "${table}" set "${column}" = $1`, sealed);
    expect([table, column, count]).toEqual([table, column, 1]);
  }
}

async function opened({ sealedTexts, open, unsafeDb }: Awaited<ReturnType<typeof processWith>>): Promise<string[]> {
  const found: string[] = [];
  for (const { table, column } of sealedTexts) {
    const [row] = await unsafeDb().$queryRawUnsafe<{ sealed: string }[]>(
      `select "${column}" as sealed from "${table}"`,
    );
    found.push(await open(row?.sealed ?? '', placeOf(table, column)));
  }
  return found;
}

const secrets = (sealedTexts: readonly { table: string; column: string }[]) =>
  sealedTexts.map(({ table, column }) => `secret of ${table}.${column}`);

type Version = { id: string; stackId: string; sealed: Uint8Array; md5: string };

function versionPlace({ id, stackId }: Pick<Version, 'id' | 'stackId'>): string {
  return `state/${stackId}/version/${id}`;
}

/** As `sealBytes` did before salts named their key. */
function bodyUnnamed(plain: Uint8Array, place: string): Buffer<ArrayBuffer> {
  const salt = randomBytes(32);
  const own = Buffer.from(hkdfSync('sha256', Buffer.from(former, 'base64'), salt, `flywheel/${place}`, 44));
  const cipher = createCipheriv('aes-256-gcm', own.subarray(0, 32), own.subarray(32)).setAAD(Buffer.from(place));
  return Buffer.concat([
    Buffer.of(1),
    salt,
    cipher.update(zstdCompressSync(plain)),
    cipher.final(),
    cipher.getAuthTag(),
  ]);
}

const body = Buffer.from(JSON.stringify({ version: 4, canary: 'x'.repeat(5000) }));

/** Two versions of a stack, the first from before a salt named its key. */
async function addVersions(): Promise<void> {
  const { sealBytes, unsafeDb } = await processWith(former);
  const { id: stackId } = await unsafeDb().stateStack.create({
    data: { name: 'main', createdById: randomUUID(), createdBy: 'Olive' },
  });
  for (const number of [1, 2]) {
    const id = randomUUID();
    const place = versionPlace({ id, stackId });
    const sealed = await (number === 1 ? bodyUnnamed : sealBytes)(body, place);
    const data = { id, stackId, number, serial: BigInt(number), bytes: body.length, md5: 'as it was', sealed };
    await unsafeDb().stateVersion.create({ data });
  }
}

/** The anchor of the one chain, signed by the former key. */
async function anchored(): Promise<Anchor> {
  const { anchorChains, unsafeDb } = await processWith(former);
  expect(await anchorChains(new Date())).toBe(1);
  const { chain, seq, hash, at, mac } = await unsafeDb().auditAnchor.findFirstOrThrow();
  const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  return { chain, seq, hash: hex(hash), at: at.toISOString(), mac: hex(mac) };
}

async function status(...keys: [string, ...string[]]): Promise<{ code: number; out: string }> {
  const [FLYWHEEL_SECRET_KEY, ...others] = keys;
  const env = { ...process.env, FLYWHEEL_SECRET_KEY, FLYWHEEL_SECRET_KEYS_OLD: others.join(',') };
  const command = promisify(execFile)(process.execPath, ['lib/reseal-status.ts'], { cwd: root, env });
  return command.then(
    ({ stdout }) => ({ code: 0, out: stdout }),
    (error: { code: number; stdout: string; stderr: string }) => ({
      code: error.code,
      out: error.stdout + error.stderr,
    }),
  );
}

beforeAll(async () => {
  rows = await startTestRows();
  folder = mkdtempSync(join(tmpdir(), 'flywheel-reseal-'));
  await fill();
  await addVersions();
  signed = await anchored();
});
afterAll(async () => {
  if (folder) rmSync(folder, { recursive: true });
  await rows?.stop();
});

test('the list of what is sealed is what the schema says', async () => {
  const { sealedTexts } = await processWith(former);
  const schema = readFileSync(join(root, 'prisma/schema.prisma'), 'utf8');
  const columns = [...schema.matchAll(/^model \w+ \{([^]*?)^\}/gm)].flatMap(([, fields = '']) => {
    const table = /@@map\("(\w+)"\)/.exec(fields)?.[1];
    return [...fields.matchAll(/^\s+(sealed\w*)\s+\S+(?:.*@map\("(\w+)"\))?/gm)].map(
      ([, field, column]) => `${table}.${column ?? field}`,
    );
  });
  const listed = sealedTexts.map(({ table, column }) => `${table}.${column}`);
  // The bodies of states are lib/state's own.
  expect([...listed, 'state_version.sealed'].toSorted()).toEqual(columns.toSorted());
});

describe('the guards of the database', () => {
  test.each([
    ['its sum', `update state_version set md5 = 'another'`],
    ['its number', 'update state_version set number = number + 10'],
    [
      'its content under the same key',
      'update state_version set sealed = set_byte(sealed, 60, 255 - get_byte(sealed, 60))',
    ],
    ['its content by another length', `update state_version set sealed = '\\x01'::bytea || gen_random_bytea(60)`],
    ['what is beside it', `update state_version set sealed = rekeyed(sealed), who = 'somebody'`],
    ['its format', 'update state_version set sealed = set_byte(rekeyed(sealed), 0, 2)'],
    ['itself', 'delete from state_version'],
    ['all', 'truncate state_version'],
  ])('the owner cannot change of a version %s', async (_, sql) => {
    await asOwner(async (client) => {
      await client.query(`create or replace function pg_temp.rekeyed(bytea) returns bytea language sql as
        $$ select substring($1 from 1 for 1) || '\\x0102030405060708' || substring($1 from 10) $$`);
      const asked = sql
        .replaceAll('rekeyed', 'pg_temp.rekeyed')
        .replace('gen_random_bytea(60)', `decode(repeat('00', 60), 'hex')`);
      await expect(client.query(asked)).rejects.toThrow('versions of a state are added and never changed');
    });
  });

  test('of anchors, the portal’s role may change by which key they are signed, and nothing else', async () => {
    const { unsafeDb } = await processWith(former);
    for (const column of ['seq', 'hash', 'at', 'chain'])
      await expect(unsafeDb().$executeRawUnsafe(`update audit_anchor set "${column}" = "${column}"`)).rejects.toThrow(
        'permission denied',
      );
    await unsafeDb().$executeRaw`update audit_anchor set mac = mac, key_id = key_id`;
  });
});

describe('while both keys are known', () => {
  test('everything opens, is counted by its key, and the former key alone tells what it lacks', async () => {
    const both = await processWith(present, former);
    expect(await opened(both)).toEqual(secrets(both.sealedTexts));
    const anew = await both.seal('new', 'here');
    // Before all processes have the new key as the present one, they have it as one that may open.
    expect(await (await processWith(former, present)).open(anew, 'here')).toBe('new');
    const alone = await processWith(former);
    const presentId = both.presentKey().id;
    await expect(alone.open(anew, 'here')).rejects.toMatchObject({
      code: 'internal',
      screen: {
        happened: `A stored secret was sealed by the key ${presentId}, which the portal was not given.`,
        todo: expect.stringContaining('FLYWHEEL_SECRET_KEYS_OLD'),
      },
    });
    const { code, out } = await status(present, former);
    expect(code).toBe(1);
    expect(out).toContain(`key ${presentId}, the present one: 0 secrets, 0 states, 0 anchors`);
    expect(out).toContain('which may still open: 10 secrets, 1 state, 1 anchor');
    expect(out).toContain('named by none, or by one that is not known here: 2 secrets, 1 state, 0 anchors');
    expect(presentId).toMatch(/^[0-9a-f]{16}$/);
    expect(Buffer.from(present, 'base64').toString('hex')).not.toContain(presentId);
  });

  test('who is signed in stays so, and a sign-in that is under way ends as it began', async () => {
    const before = await processWith(former);
    const { userId } = await before.unsafeDb().membership.findFirstOrThrow();
    const token = randomBytes(32).toString('base64url');
    const expiresAt = new Date(Date.now() + 3600_000);
    const tokenHash = createHash('sha256').update(token).digest('hex');
    await before.unsafeDb().session.create({ data: { tokenHash, userId, expiresAt } });
    const state = { name: 'flywheel.state.forge', secret: before.authSecret() };
    const value = await encode({ token: { value: 'state' }, secret: state.secret, salt: state.name });

    const after = await processWith(present, former);
    expect(after.authSecret()).not.toBe(state.secret);
    expect(await after.authSecretBehind({ name: state.name, value })).toBe(state.secret);
    for (const other of [undefined, '', 'x', value.slice(1)])
      expect(await after.authSecretBehind({ name: state.name, value: other })).toBe(after.authSecret());
    expect(await after.authSecretBehind({ name: 'flywheel.state.other', value })).toBe(after.authSecret());
    const { personOfToken } = await import('./tenant/session.ts');
    expect((await personOfToken(token, new Date()))?.userId).toBe(userId);
  });

  test('a value that changes while it is sealed anew is left as it was changed to', async () => {
    const { resealTexts, seal, unsafeDb } = await processWith(present, former);
    const sealedValue = await (await processWith(former)).seal('changed meanwhile', placeOf('credential', 'x'));
    await asOwner(async (client) => {
      // The owner is bound by row security as well: as whom the portal writes.
      const other = new pg.Client({ connectionString: rows.database.appUrl });
      await other.connect();
      await other.query('set role flywheel_system; begin');
      await other.query('update credential set sealed_value = $1', [sealedValue]);
      const look = resealTexts(none);
      await eventually('the look to wait for the row', async () => {
        const { rows: waiting } = await client.query(
          'select 1 from pg_locks join pg_stat_activity using (pid) where not granted and datname = current_database()',
        );
        return waiting.length > 0;
      });
      await other.query('commit');
      await other.end();
      expect(await look).toMatchObject({ changed: 1, closed: 0 });
    });
    expect((await unsafeDb().credential.findFirstOrThrow()).sealedValue).toBe(sealedValue);
    // As it was, for what follows.
    const again = await seal('secret of credential.sealed_value', placeOf('credential', 'sealed_value'));
    await unsafeDb().credential.updateMany({ data: { sealedValue: again } });
  });

  test('the look ends where its lease does', async () => {
    const { resealTexts, resealVersions, resignAnchors } = await processWith(present, former);
    const lost = () => Promise.reject(new Error('lease lost'));
    for (const look of [resealTexts, resealVersions, resignAnchors])
      await expect(look(lost)).rejects.toThrow('lease lost');
  });
});

test('workers make everything the present key’s, and then the former one can be taken away', async () => {
  // What no key opens is in nobody's way, and is said.
  const { unsafeDb } = await processWith(former);
  const lost = await (await processWith(key())).seal('lost', 'nowhere');
  const { id: strayId } = await unsafeDb().cacheServer.create({
    data: { id: 'a-stray', plane: 'attic', clusterId: 'main', url: 'https://stray.example', sealedSigningSecret: lost },
  });
  const columns = { omit: { sealed: true }, orderBy: { number: 'asc' } } as const;
  const before = await unsafeDb().stateVersion.findMany(columns);

  const worker = await startWorkerProcess(folder, {
    FLYWHEEL_SECRET_KEY: present,
    FLYWHEEL_SECRET_KEYS_OLD: former,
  });
  const log = () => readFileSync(worker.logFile, 'utf8');
  await eventually('the round', () => log().includes('sealed by a key that was not given'), 30_000);
  await worker.stop();
  expect(log()).toContain('"closed":1');
  expect(log()).toContain('"anchor":');
  expect((await status(present, former)).code).toBe(1);
  await unsafeDb().cacheServer.delete({ where: { id: strayId } });
  const { code, out } = await status(present, former);
  expect([code, out]).toEqual([0, expect.stringContaining('FLYWHEEL_SECRET_KEYS_OLD can be emptied')]);
  expect(out).toContain('12 secrets, 2 states, ');

  const alone = await processWith(present);
  expect(await opened(alone)).toEqual(secrets(alone.sealedTexts));
  expect(await alone.unsafeDb().stateVersion.findMany(columns)).toEqual(before);
  for (const { id, stackId, sealed } of await alone.unsafeDb().stateVersion.findMany())
    expect((await alone.openBytes(sealed ?? Buffer.alloc(0), versionPlace({ id, stackId }), 1e6)).equals(body)).toBe(
      true,
    );
  const reports = await alone.verifyAudit();
  expect(reports.map(({ problem }) => problem)).toEqual(reports.map(() => null));
  expect(reports.some(({ anchored }) => anchored !== null)).toBe(true);
  // An anchor in a log that is kept elsewhere is as it was: it counts where the key that signed it is given.
  const problems = async (keys: [string, ...string[]]) => {
    const found = await (await processWith(...keys)).verifyAudit({ tenantId: signed.chain, anchors: [signed] });
    return found.map(({ problem }) => problem?.says ?? null);
  };
  expect(await problems([present, former])).toEqual([null]);
  expect(await problems([present])).toEqual([expect.stringContaining('the portal’s key did not sign')]);
}, 60_000);

test('an anchor that no key of the portal signed is not signed by the look, and is found', async () => {
  const { resignAnchors, unsafeDb, verifyAudit } = await processWith(present, former);
  const chain = randomUUID();
  const mac = randomBytes(32);
  await unsafeDb().auditAnchor.create({ data: { chain, seq: 1n, hash: randomBytes(32), mac } });
  expect(await resignAnchors(none)).toMatchObject({ closed: 1 });
  const kept = await unsafeDb().auditAnchor.findUniqueOrThrow({ where: { chain_seq: { chain, seq: 1n } } });
  expect([Buffer.from(kept.mac).equals(mac), kept.keyId]).toEqual([true, null]);
  const [report] = await verifyAudit({ tenantId: chain });
  expect(report?.problem?.says).toContain('the portal’s key did not sign');
});
