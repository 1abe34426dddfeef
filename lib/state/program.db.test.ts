import { createHash, randomBytes, randomUUID } from 'node:crypto';
import pg from 'pg';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { open, openBytes, sealBytes, unsafeDb } from '#lib/db/index.ts';
import { errorCodes, toAppError } from '#lib/errors.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';
import { startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import {
  addCredential,
  addStack,
  answerProgram,
  diffView,
  downloadState,
  forceUnlock,
  listStacks,
  revokeCredential,
  rollBack,
  rotateCredential,
  StackInput,
  stackView,
} from './index.ts';
import { bothSecretsMs, stateBytesMost } from './limits.ts';
import { versionPlace } from './names.ts';

/** The backend as a program meets it, and what operators do beside it; OpenTofu itself is in tofu.db.test.ts. */
let rows: TestRows;
let by: PersonCtx;
const now = new Date('2026-11-25T12:00:00Z');

beforeAll(async () => {
  rows = await startTestRows();
  const { id: userId } = await unsafeDb().user.create({ data: { name: 'Olive' } });
  by = { requestId: 'test', person: { userId, name: 'Olive', imageUrl: null, identities: [], isOperator: true } };
});
afterAll(() => rows?.stop());

type Answer = { status: number; text: string; headers: Headers };
type Ask = {
  method?: string;
  path?: string;
  body?: string | Uint8Array | undefined;
  headers?: Record<string, string>;
  at?: Date;
};

/** A program that works on a stack with one credential. */
class Program {
  readonly stack: string;
  authorization: string;

  constructor(stack: string, name: string, secret: string) {
    this.stack = stack;
    this.authorization = `Basic ${Buffer.from(`${name}:${secret}`).toString('base64')}`;
  }

  async ask({ method = 'GET', path = '', body, headers = {}, at = now }: Ask = {}): Promise<Answer> {
    const request = new Request(`http://portal.test/api/state/${this.stack}${path}`, {
      method,
      headers: { authorization: this.authorization, ...headers },
      ...(body === undefined ? {} : { body: body as string }),
    });
    const part = new URL(request.url).pathname.endsWith('/lock') ? 'lock' : 'state';
    try {
      const answer = await answerProgram(request, { stack: this.stack, part, now: at });
      return { status: answer.status, text: await answer.text(), headers: answer.headers };
    } catch (error) {
      const failure = toAppError(error);
      return { status: errorCodes[failure.code], text: failure.screen.happened, headers: new Headers() };
    }
  }

  write(body: string, lockId?: string, headers: Record<string, string> = {}): Promise<Answer> {
    const path = lockId === undefined ? '' : `?ID=${lockId}`;
    const md5 = createHash('md5').update(body).digest('base64');
    return this.ask({ method: 'POST', path, body, headers: { 'content-md5': md5, ...headers } });
  }

  lock(ID: string): Promise<Answer> {
    const info = {
      ID,
      Operation: 'OperationTypeApply',
      Info: '',
      Who: 'ada@laptop',
      Version: '1.12.6',
      Created: now,
      Path: '',
    };
    return this.ask({ method: 'POST', path: '/lock', body: JSON.stringify(info) });
  }

  unlock(ID: string): Promise<Answer> {
    return this.ask({
      method: 'DELETE',
      path: '/lock',
      body: JSON.stringify({ ID, Operation: 'x', Who: 'ada@laptop' }),
    });
  }
}

let stacks = 0;

async function stack(access: 'read' | 'write' = 'write'): Promise<Program> {
  stacks += 1;
  const name = `stack-${stacks}`;
  await addStack(by, { name, description: '' });
  const { secret } = await addCredential(by, { stack: name, name: 'ci', access, days: 'never' }, now);
  return new Program(name, 'ci', secret);
}

function state(serial: number, more: object = {}): string {
  return JSON.stringify({
    version: 4,
    terraform_version: '1.12.6',
    serial,
    lineage: 'lineage',
    outputs: {},
    resources: [],
    ...more,
  });
}

async function serials(program: Program): Promise<(string | null)[]> {
  return (await stackView(program.stack, now)).versions.map(({ serial }) => serial);
}

describe('a state', () => {
  test('is none at first, then what was written, byte for byte, with its sum', async () => {
    const program = await stack();
    expect(await program.ask()).toMatchObject({ status: 204, text: '' });
    const body = state(1, { outputs: { word: { value: 'Grüße\u0000 \u{1F600}' } } });
    expect((await program.write(body)).status).toBe(200);
    const { status, text, headers } = await program.ask();
    expect({ status, text }).toEqual({ status: 200, text: body });
    expect(headers.get('content-md5')).toBe(createHash('md5').update(body).digest('base64'));
    expect(headers.get('cache-control')).toBe('no-store, no-transform');
  });

  test('is kept in every version, each with who wrote it', async () => {
    const program = await stack();
    await program.write(state(1));
    await program.lock('k1');
    await program.write(state(2), 'k1');
    await program.unlock('k1');
    const { versions } = await stackView(program.stack, now);
    expect(versions).toMatchObject([
      { number: 2, serial: '2', who: 'ada@laptop', credential: 'ci', operation: 'OperationTypeApply' },
      { number: 1, serial: '1', who: null, credential: 'ci' },
    ]);
  });

  test('is never readable in the database, nor opens elsewhere', async () => {
    const program = await stack();
    const secret = randomBytes(9).toString('hex');
    await program.write(state(1, { outputs: { secret: { value: secret } } }));
    const client = new pg.Client({ connectionString: rows.database.ownerUrl });
    await client.connect();
    const { rows: found } = await client.query<{ id: string; stack_id: string; sealed: Buffer; all: string }>(
      `select v.id, v.stack_id, v.sealed, v::text as all from state_version v join state_stack s on s.id = v.stack_id where s.name = $1`,
      [program.stack],
    );
    await client.end();
    const [row] = found;
    if (!row) throw new Error('no row');
    expect(row.all).not.toContain(Buffer.from(secret).toString('hex'));
    expect(row.sealed.includes(secret)).toBe(false);
    const place = versionPlace(row.stack_id, row.id);
    expect((await openBytes(row.sealed, place, 1e6)).toString()).toContain(secret);
    await expect(openBytes(row.sealed, versionPlace(row.stack_id, randomUUID()), 1e6)).rejects.toThrow('does not open');
    for (const at of [0, 5, 40, row.sealed.length - 1]) {
      const bent = Buffer.from(row.sealed);
      bent[at] = (bent[at] ?? 0) ^ 1;
      await expect(openBytes(bent, place, 1e6)).rejects.toThrow('does not open');
    }
    await expect(openBytes(row.sealed, place, 10)).rejects.toThrow('does not open');
    await expect(open(row.sealed.toString('base64'), place)).rejects.toThrow('does not open');
    expect((await sealBytes(Buffer.from('x'), place)).equals(await sealBytes(Buffer.from('x'), place))).toBe(false);
  });

  test('that is sent again is there once', async () => {
    const program = await stack();
    for (let again = 0; again < 3; again += 1) expect((await program.write(state(1))).status).toBe(200);
    expect(await serials(program)).toEqual(['1']);
  });

  test.each([
    ['an older serial', state(3)],
    ['the same serial and other content', state(5, { outputs: { a: {} } })],
    ['another lineage', state(9, { lineage: 'other' })],
  ])('of %s changes nothing, and the stack says why', async (_, body) => {
    const program = await stack();
    await program.write(state(5));
    expect((await program.write(body)).status).toBe(409);
    expect(await serials(program)).toEqual(['5']);
    expect((await program.ask()).text).toBe(state(5));
    expect((await stackView(program.stack, now)).refusal?.text).toContain('Credential ci.');
  });

  test.each<[string, Ask, number]>([
    [
      'cut short, with the sum of the whole',
      { body: state(6).slice(0, -9), headers: { 'content-md5': createHash('md5').update(state(6)).digest('base64') } },
      422,
    ],
    [
      'of other bytes than its sum',
      { body: state(6), headers: { 'content-md5': createHash('md5').update(state(7)).digest('base64') } },
      422,
    ],
    ['cut short, without a sum', { body: state(6).slice(0, -1) }, 422],
    ['shorter than it said', { body: state(6), headers: { 'content-length': '5000' } }, 422],
    ['empty', { body: '' }, 422],
    ['no JSON', { body: 'serial: 6' }, 422],
    [
      'no UTF-8',
      { body: Buffer.concat([Buffer.from('{"serial":6,"lineage":"'), Buffer.of(0xff), Buffer.from('"}')]) },
      422,
    ],
    ['50 MB, as it says', { body: '{}', headers: { 'content-length': String(50e6) } }, 413],
    [
      'larger than it may be, without saying',
      { body: state(6, { outputs: { pad: 'x'.repeat(stateBytesMost) } }) },
      413,
    ],
  ])('that is %s is refused, and nothing is lost', async (_, ask, status) => {
    const program = await stack();
    await program.write(state(5));
    expect((await program.ask({ method: 'PUT', ...ask })).status).toBe(status);
    expect(await serials(program)).toEqual(['5']);
    // What was refused holds no room in this process.
    expect((await program.write(state(6))).status).toBe(200);
  });

  test('many at once: one a serial, in order', async () => {
    const program = await stack();
    const sent = Array.from({ length: 12 }, (_, index) =>
      program.write(state(1 + (index % 4), { outputs: { index } })),
    );
    const kept = (await Promise.all(sent)).filter(({ status }) => status === 200).length;
    const found = await serials(program);
    expect(found.length).toBe(kept);
    expect(found).toEqual(found.toSorted((a, b) => Number(b) - Number(a)));
    expect(new Set(found).size).toBe(found.length);
  });

  test('that the program encrypted is kept as it is, ordered by its serial or else by its lock', async () => {
    const program = await stack();
    const sealed = { meta: {}, encrypted_data: 'AAAA', encryption_version: 'v0' };
    expect((await program.write(JSON.stringify({ serial: 4, lineage: 'l', ...sealed }))).status).toBe(200);
    expect(
      (await program.write(JSON.stringify({ serial: 4, lineage: 'l', ...sealed, encrypted_data: 'BBBB' }))).status,
    ).toBe(409);
    const blind = JSON.stringify({ ...sealed, encrypted_data: 'CCCC' });
    expect((await program.write(blind)).status).toBe(409);
    await program.lock('k');
    expect((await program.write(blind, 'k')).status).toBe(200);
    expect((await program.ask()).text).toBe(blind);
    // What is told again must still be above all that was told before.
    expect((await program.write(JSON.stringify({ serial: 4, lineage: 'l', ...sealed }), 'k')).status).toBe(409);
    expect((await stackView(program.stack, now)).versions).toMatchObject([
      { serial: null, lineage: null, isEncrypted: true, resources: null },
      { serial: '4', lineage: 'l', isEncrypted: true },
    ]);
  });

  test('that is emptied stays in the history, and another lineage may begin', async () => {
    const program = await stack();
    await program.write(state(5));
    expect((await program.ask({ method: 'DELETE' })).status).toBe(200);
    expect((await program.ask()).status).toBe(204);
    expect((await program.write(state(4))).status).toBe(409);
    expect((await program.write(state(1, { lineage: 'second' }))).status).toBe(200);
    expect((await stackView(program.stack, now)).versions.map(({ kind }) => kind)).toEqual(['write', 'purge', 'write']);
  });
});

describe('a lock', () => {
  test('is held by one; the other is told by whom, in the programs’ own form', async () => {
    const program = await stack();
    const answers = await Promise.all(['a', 'b', 'c'].map((id) => program.lock(id)));
    const winner = answers.findIndex(({ status }) => status === 200);
    const losers = answers.filter(({ status }) => status === 423);
    expect(losers).toHaveLength(2);
    const id = ['a', 'b', 'c'][winner] ?? '';
    for (const { text } of losers)
      expect(JSON.parse(text)).toMatchObject({ ID: id, Who: 'ada@laptop', Created: now.toISOString() });
    // A request whose answer was lost is sent again.
    expect((await program.lock(id)).status).toBe(200);
    expect((await program.unlock('another')).status).toBe(423);
    expect((await program.unlock(id)).status).toBe(200);
    expect((await program.unlock(id)).status).toBe(200);
    expect((await program.unlock('another')).status).toBe(409);
    expect((await program.lock('d')).status).toBe(200);
  });

  test('keeps out whoever does not hold it, and ends with what was sent under it', async () => {
    const program = await stack();
    await program.lock('k');
    expect((await program.write(state(1))).status).toBe(409);
    expect((await program.write(state(1), 'j')).status).toBe(409);
    expect((await program.ask({ method: 'DELETE' })).status).toBe(409);
    expect((await program.write(state(1), 'k')).status).toBe(200);
    await program.unlock('k');
    // The same request replayed, and one that comes late.
    expect((await program.write(state(1), 'k')).status).toBe(409);
    expect((await program.write(state(2), 'k')).status).toBe(409);
    expect(await serials(program)).toEqual(['1']);
  });

  test('of a dead program is taken away by an operator, with a reason that the audit keeps', async () => {
    const program = await stack();
    await program.lock('dead');
    expect((await program.lock('alive')).status).toBe(423);
    const reason = 'the laptop is at the bottom of a lake';
    await expect(forceUnlock(by, { stack: program.stack, lockId: 'alive', reason })).rejects.toThrow('is not held');
    await forceUnlock(by, { stack: program.stack, lockId: 'dead', reason });
    expect((await program.lock('alive')).status).toBe(200);
    expect((await program.write(state(1), 'dead')).status).toBe(409);
    expect((await program.write(state(1), 'alive')).status).toBe(200);
    const told = await unsafeDb().audit.findFirst({
      where: { action: 'state:force-unlock', target: `state/${program.stack}` },
    });
    expect(told).toMatchObject({ actor: 'Olive', before: { ID: 'dead', Who: 'ada@laptop' }, after: { reason } });
  });

  test('that names no lock is refused, so that nobody’s is taken by accident', async () => {
    const program = await stack();
    await program.lock('k');
    for (const body of [undefined, '', '{}', '{"ID":""}', 'x', '[]'])
      expect((await program.ask({ method: 'DELETE', path: '/lock', body })).status).toBe(422);
    const forced = {
      ID: 'k',
      Operation: '',
      Info: '',
      Who: '',
      Version: '',
      Created: '0001-01-01T00:00:00Z',
      Path: '',
    };
    expect((await program.ask({ method: 'DELETE', path: '/lock', body: JSON.stringify(forced) })).status).toBe(200);
    const told = await unsafeDb().audit.findFirst({
      where: { action: 'state:force-unlock', target: `state/${program.stack}` },
    });
    expect(told).toMatchObject({ actor: 'credential ci' });
  });
});

test.each(['../x', 'a/b', 'A', 'a b', '-a', 'a-', '', 'a'.repeat(64), 'ä', 'a\n', '..', 'a.tfstate'])(
  'no stack is called %j',
  (name) => {
    const { success } = StackInput.safeParse({ name, description: '' });
    // What stands around a name is taken off, and is then no part of it.
    expect(success).toBe(name === 'a\n');
  },
);

describe('a credential', () => {
  test.each(['../x', '..%2Fx', 'stack-1/../stack-2', 'a\0b', "x' or ''='", '', 'STACK-1', 'nobody'])(
    'of one stack opens none called %j',
    async (name) => {
      const program = await stack();
      const request = new Request('http://portal.test/x', { headers: { authorization: program.authorization } });
      const answer = await answerProgram(request, { stack: name, part: 'state', now });
      expect(answer.status).toBe(401);
    },
  );

  test('of another stack, of nobody and of the wrong secret are all the same 401', async () => {
    const [own, other] = [await stack(), await stack()];
    await other.write(state(1));
    const bodies = new Set<string>();
    const wrong = [
      own.authorization,
      '',
      'Basic',
      'Basic !!',
      'Bearer x',
      `Basic ${Buffer.from('ci').toString('base64')}`,
    ];
    for (const authorization of [...wrong, `Basic ${Buffer.from('ci:').toString('base64')}`]) {
      other.authorization = authorization;
      const { status, text, headers } = await other.ask();
      expect(status).toBe(401);
      expect(headers.get('www-authenticate')).toContain('Basic');
      bodies.add(text);
      expect((await other.write(state(2))).status).toBe(401);
      expect((await other.lock('k')).status).toBe(401);
    }
    expect(bodies.size).toBe(1);
    expect(await serials(other)).toEqual(['1']);
  });

  test('that may read may do no more', async () => {
    const program = await stack('read');
    expect((await program.ask()).status).toBe(204);
    for (const { status } of [await program.write(state(1)), await program.lock('k'), await program.unlock('k')])
      expect(status).toBe(403);
    expect((await program.ask({ method: 'DELETE' })).status).toBe(403);
  });

  test('that is revoked while its write arrives writes nothing, and one that has expired gets no other secret', async () => {
    const program = await stack();
    const rest = Promise.withResolvers<void>();
    const body = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await rest.promise;
        controller.enqueue(Buffer.from(state(1)));
        controller.close();
      },
    });
    const request = new Request(`http://portal.test/api/state/${program.stack}`, {
      method: 'POST',
      headers: { authorization: program.authorization },
      body,
      duplex: 'half',
    } as RequestInit);
    const work = answerProgram(request, { stack: program.stack, part: 'state', now });
    const shown = () => unsafeDb().stateCredential.findFirstOrThrow({ where: { stack: { name: program.stack } } });
    await expect.poll(async () => (await shown()).usedAt).not.toBeNull();
    await revokeCredential(by, { stack: program.stack, credentialId: (await shown()).id }, now);
    rest.resolve();
    await expect(work).rejects.toMatchObject({ code: 'forbidden' });
    expect(await serials(program)).toEqual([]);

    await addCredential(by, { stack: program.stack, name: 'short', access: 'read', days: '90' }, now);
    const { id: credentialId } = await unsafeDb().stateCredential.findFirstOrThrow({ where: { name: 'short' } });
    const later = new Date(now.getTime() + 91 * 24 * 3600_000);
    await expect(rotateCredential(by, { stack: program.stack, credentialId }, later)).rejects.toMatchObject({
      code: 'conflict',
    });
  });

  test('is kept as a hash, and shown to nobody again', async () => {
    const name = `kept-${stacks}`;
    await addStack(by, { name, description: '' });
    const { secret } = await addCredential(by, { stack: name, name: 'ci', access: 'write', days: '90' }, now);
    const view = JSON.stringify([await stackView(name, now), await listStacks()]);
    expect(view).not.toContain(secret);
    expect(view).not.toContain(createHash('sha256').update(secret).digest('hex'));
    const row = await unsafeDb().stateCredential.findFirstOrThrow({ where: { stack: { name } } });
    expect(JSON.stringify(row)).not.toContain(secret.slice(4));
  });

  test('is rotated without a moment in which neither secret opens, revoked at once, and ends when it says', async () => {
    const name = `turned-${stacks}`;
    await addStack(by, { name, description: '' });
    const first = await addCredential(by, { stack: name, name: 'ci', access: 'write', days: '90' }, now);
    const { id: credentialId } = await unsafeDb().stateCredential.findFirstOrThrow({ where: { stack: { name } } });
    const second = await rotateCredential(by, { stack: name, credentialId }, now);
    const [old, next] = [new Program(name, 'ci', first.secret), new Program(name, 'ci', second.secret)];
    expect([(await old.ask()).status, (await next.ask()).status]).toEqual([204, 204]);
    const at = new Date(now.getTime() + bothSecretsMs);
    expect([(await old.ask({ at })).status, (await next.ask({ at })).status]).toEqual([401, 204]);
    const ended = new Date(now.getTime() + 90 * 24 * 3_600_000);
    expect((await next.ask({ at: ended })).status).toBe(401);
    await revokeCredential(by, { stack: name, credentialId }, now);
    expect([(await old.ask()).status, (await next.ask()).status]).toEqual([401, 401]);
    await expect(rotateCredential(by, { stack: name, credentialId }, now)).rejects.toThrow('revoked');
    // Its name tells the history who wrote, so nobody else has it later.
    await expect(
      addCredential(by, { stack: name, name: 'ci', access: 'write', days: 'never' }, now),
    ).rejects.toMatchObject({ screen: { fields: { name: expect.any(String) as string } } });
  });
});

describe('going back', () => {
  test('is a new version above all others, that programs take for the newest', async () => {
    const program = await stack();
    const first = state(1, { outputs: { n: { value: 1.5 } } });
    await program.write(first);
    await program.write(state(8));
    expect(await rollBack(by, { stack: program.stack, number: 1 })).toBe(3);
    const { text, headers } = await program.ask();
    expect(text).toBe(first.replace('"serial":1', '"serial":9'));
    expect(headers.get('content-md5')).toBe(createHash('md5').update(text).digest('base64'));
    expect((await stackView(program.stack, now)).versions[0]).toMatchObject({
      kind: 'rollback',
      ofNumber: 1,
      who: 'Olive',
    });
    expect((await program.write(state(9))).status).toBe(409);
    expect((await program.write(state(10))).status).toBe(200);
  });

  test('waits for who holds the lock, and cannot be done to what is encrypted with its serial', async () => {
    const program = await stack();
    await program.write(state(1));
    await program.write(state(2));
    await program.lock('k');
    await expect(rollBack(by, { stack: program.stack, number: 1 })).rejects.toMatchObject({ code: 'conflict' });
    await program.write(
      JSON.stringify({ serial: 3, lineage: 'lineage', meta: {}, encrypted_data: 'A', encryption_version: 'v0' }),
      'k',
    );
    await program.unlock('k');
    await expect(rollBack(by, { stack: program.stack, number: 3 })).rejects.toMatchObject({ code: 'conflict' });
    await expect(rollBack(by, { stack: program.stack, number: 4 })).rejects.toMatchObject({ code: 'not_found' });
    expect(await serials(program)).toEqual(['3', '2', '1']);
  });
});

test('operators see what differs, without a value, and download what was sent, which is told of', async () => {
  const program = await stack();
  const resource = (token: string) => ({
    resources: [{ mode: 'managed', type: 't', name: 'n', instances: [{ attributes: { token } }] }],
  });
  await program.write(state(1, resource('old-token')));
  await program.write(state(2, resource('new-token')));
  const view = await diffView(program.stack, '1', '2');
  expect(view.diff?.changed).toEqual([
    { address: 't.n', attributes: [{ path: 'token', isSensitive: false }], more: 0 },
  ]);
  expect(JSON.stringify(view)).not.toContain('-token');
  await expect(diffView(program.stack, '1', '3')).rejects.toMatchObject({ code: 'not_found' });
  await expect(diffView('../x', '1', '2')).rejects.toMatchObject({ code: 'not_found' });
  const answer = await downloadState(by, program.stack, '1');
  expect(answer.headers.get('content-disposition')).toBe(`attachment; filename="${program.stack}-1.tfstate"`);
  expect(await answer.text()).toBe(state(1, resource('old-token')));
  expect(await unsafeDb().audit.count({ where: { action: 'state:download' } })).toBe(1);
});

test('no role of the portal changes or removes a version, and that of tenants may not even ask', async () => {
  const client = new pg.Client({ connectionString: rows.database.appUrl });
  await client.connect();
  const code = (sql: string) =>
    client.query(sql).then(
      () => 'done',
      (error: { code: string }) => error.code,
    );
  for (const table of ['state_stack', 'state_version', 'state_lock', 'state_credential'])
    expect([table, await code(`select 1 from ${table}`)]).toEqual([table, '42501']);
  await client.query('set role flywheel_system');
  for (const sql of [
    'update state_version set number = number',
    'delete from state_version',
    'delete from state_stack',
    'delete from state_credential',
  ])
    expect([sql, await code(sql)]).toEqual([sql, '42501']);
  await client.end();
});
