import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { unsafeDb } from '#lib/db/index.ts';
import {
  addCredential,
  addStack,
  backendBlock,
  downloadState,
  forceUnlock,
  rollBack,
  stackView,
} from '#lib/state/index.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';
import { buildTofu, runTofu, type Ran, type TofuOptions } from '#sandbox/opentofu.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import * as lockRoute from './[stack]/lock/route.ts';
import * as stateRoute from './[stack]/route.ts';

/** The real OpenTofu, and Terraform where the machine has it, with the backend block that the stack's page gives. */
let rows: TestRows;
let by: PersonCtx;
let folder: string;
let tofu: string;

type Handler = (request: Request, context: { params: Promise<{ stack: string }> }) => Promise<Response>;

/** The routes behind a bare HTTP server, as Next dispatches to them. */
const server = createServer((request, response) => void answer(request, response));

async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  const url = new URL(request.url ?? '/', 'http://portal.test');
  const [, stack = '', part] = /^\/api\/state\/([^/]+)(\/lock)?$/.exec(url.pathname) ?? [];
  const route: Partial<Record<string, Handler>> = { ...(part === undefined ? stateRoute : lockRoute) } as never;
  const method = request.method ?? 'GET';
  const handler = route[method];
  if (!handler) return void response.writeHead(405).end();
  const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) };
  const asked = new Request(url, { method, headers: request.headers as Record<string, string>, ...body });
  const given = await handler(asked, { params: Promise.resolve({ stack }) });
  response.writeHead(given.status, Object.fromEntries(given.headers)).end(Buffer.from(await given.arrayBuffer()));
}

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  process.env['PORTAL_URL'] = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  rows = await startTestRows();
  const { id: userId } = await unsafeDb().user.create({ data: { name: 'Olive' } });
  by = { requestId: 'test', person: { userId, name: 'Olive', imageUrl: null, identities: [], isOperator: true } };
  folder = mkdtempSync(join(tmpdir(), 'flywheel-tofu-'));
  tofu = await buildTofu();
}, 900_000);
afterAll(async () => {
  server.close();
  if (folder) rmSync(folder, { recursive: true, force: true });
  await rows?.stop();
});

let stacks = 0;

type Stack = { name: string; env: Record<string, string> };

async function newStack(): Promise<Stack> {
  stacks += 1;
  const name = `infra-${stacks}`;
  await addStack(by, { name, description: '' });
  const { secret } = await addCredential(by, { stack: name, name: 'ci', access: 'write', days: '90' }, new Date());
  return { name, env: { TF_HTTP_USERNAME: 'ci', TF_HTTP_PASSWORD: secret } };
}

/** Nothing outside of the program itself: what `word` is is in the state, and applying takes `seconds`. */
const configuration = `
variable "word" { default = "first" }
variable "seconds" { default = 0 }
resource "terraform_data" "word" {
  input            = var.word
  triggers_replace = var.word
  provisioner "local-exec" { command = "sleep \${var.seconds}" }
}
`;

/** A checkout of its own, initialised. */
async function checkout({ name, env }: Stack, binary: string, more: Record<string, string> = {}): Promise<TofuOptions> {
  const dir = mkdtempSync(join(folder, 'checkout-'));
  writeFileSync(join(dir, 'backend.tf'), backendBlock(name));
  writeFileSync(join(dir, 'main.tf'), configuration);
  const options = { dir, binary, env: { ...env, ...more } };
  done(await runTofu(options, ['init']));
  return options;
}

/** Ends with this code; what it said is shown where it does not. */
function ends(code: number, ran: Ran): Ran {
  expect(ran.code === code ? { code } : ran).toEqual({ code });
  return ran;
}

function done(ran: Ran): Ran {
  return ends(0, ran);
}

const apply = (options: TofuOptions, word: string, ...more: string[]) =>
  runTofu(options, ['apply', '-auto-approve', `-var=word=${word}`, ...more]);

const versionsOf = async ({ name }: Stack) => (await stackView(name, new Date())).versions;

const terraform = spawnSync('terraform', ['version'], { encoding: 'utf8' }).status === 0 ? 'terraform' : undefined;

const State = z.object({
  resources: z.array(
    z.object({ instances: z.array(z.object({ attributes: z.object({ input: z.object({ value: z.string() }) }) })) }),
  ),
});

async function downloaded({ name }: Stack, number: number): Promise<string> {
  return (await downloadState(by, name, String(number))).text();
}

/** What the resource of a version holds. */
async function wordsOf(stack: Stack, number: number): Promise<string[]> {
  const { resources } = State.parse(JSON.parse(await downloaded(stack, number)));
  return resources.flatMap(({ instances }) => instances.map(({ attributes }) => attributes.input.value));
}

describe.each([
  ['tofu', () => tofu],
  ...(terraform === undefined ? [] : [['terraform', () => terraform] as const]),
] as const)('%s as it is', (_, binary) => {
  test('keeps its state here, from the first apply to the last, and every version of it', async () => {
    const stack = await newStack();
    const own = await checkout(stack, binary());
    done(await apply(own, 'first'));
    done(await apply(own, 'second'));
    const list = done(await runTofu(await checkout(stack, binary()), ['state', 'list']));
    expect(list.stdout.trim()).toBe('terraform_data.word');
    const versions = await versionsOf(stack);
    expect(versions.length).toBeGreaterThanOrEqual(2);
    const serials = versions.map(({ serial }) => Number(serial));
    expect(serials).toEqual(serials.toSorted((a, b) => b - a));
    expect(versions[0]).toMatchObject({ credential: 'ci', operation: 'OperationTypeApply', resources: 1 });
    expect(versions[0]?.who).toContain('@');
    expect((await stackView(stack.name, new Date())).lock).toBeNull();
  });

  test('two at once: one waits, one wins, and both states are in the history; a third that does not wait is told by whom', async () => {
    const stack = await newStack();
    const [first, second, third] = await Promise.all([
      checkout(stack, binary()),
      checkout(stack, binary()),
      checkout(stack, binary()),
    ]);
    const one = apply(first, 'one', '-var=seconds=4');
    await eventually('the lock', async () => (await stackView(stack.name, new Date())).lock);
    const two = apply(second, 'two', '-lock-timeout=60s');
    const refused = await apply(third, 'three');
    const held = (await stackView(stack.name, new Date())).lock;
    expect(refused.code).toBe(1);
    expect(refused.output).toContain('Error acquiring the state lock');
    expect(refused.output).toContain(held?.id ?? 'no lock');
    expect(refused.output).toContain(held?.who ?? 'nobody');
    done(await one);
    done(await two);
    const shown = done(await runTofu(first, ['state', 'pull']));
    expect(shown.stdout).toContain('"two"');
    expect(shown.stdout).not.toContain('"three"');
    const serials = (await versionsOf(stack)).map(({ serial }) => Number(serial));
    expect(new Set(serials).size).toBe(serials.length);
    const words = await Promise.all((await versionsOf(stack)).map(({ number }) => wordsOf(stack, number)));
    expect(words.flat()).toEqual(expect.arrayContaining(['one', 'two']));
  });

  test('a lock of a program that was killed keeps the next one out until an operator takes it away', async () => {
    const stack = await newStack();
    const own = await checkout(stack, binary());
    const pid = Promise.withResolvers<number>();
    const args = ['apply', '-auto-approve', '-var=word=dead', '-var=seconds=5'];
    const killed = runTofu(own, args, pid.resolve);
    await eventually('the lock', async () => (await stackView(stack.name, new Date())).lock);
    process.kill(await pid.promise, 'SIGKILL');
    expect((await killed).code).not.toBe(0);
    const lockId = (await stackView(stack.name, new Date())).lock?.id ?? 'no lock';
    const next = await checkout(stack, binary());
    expect((await apply(next, 'next')).output).toContain(lockId);
    await forceUnlock(by, { stack: stack.name, lockId, reason: 'it was killed' });
    done(await apply(next, 'next'));
  });

  test('an older state is not pushed over a newer one, by force either', async () => {
    const stack = await newStack();
    const own = await checkout(stack, binary());
    done(await apply(own, 'one'));
    const old = done(await runTofu(own, ['state', 'pull'])).stdout;
    done(await apply(own, 'two'));
    writeFileSync(join(own.dir, 'old.tfstate'), old);
    const before = await versionsOf(stack);
    expect((await runTofu(own, ['state', 'push', 'old.tfstate'])).code).toBe(1);
    ends(1, await runTofu(own, ['state', 'push', '-force', 'old.tfstate']));
    expect(await versionsOf(stack)).toEqual(before);
    expect((await stackView(stack.name, new Date())).refusal?.text).toContain('serial');
  });

  test('what an operator went back to is what it plans from', async () => {
    const stack = await newStack();
    const own = await checkout(stack, binary());
    done(await apply(own, 'one'));
    const first = (await versionsOf(stack))[0]?.number ?? 0;
    done(await apply(own, 'two'));
    await rollBack(by, { stack: stack.name, number: first });
    expect(done(await runTofu(own, ['plan', '-detailed-exitcode', '-var=word=one'])).output).toContain('No changes');
    done(await apply(own, 'three'));
  });

  test('a credential of another stack opens nothing', async () => {
    const [stack, other] = [await newStack(), await newStack()];
    const own = await checkout(stack, binary());
    const wrong = await apply({ ...own, env: other.env }, 'one');
    expect(wrong.code).toBe(1);
    expect(wrong.output).toContain('requires auth');
    expect(await versionsOf(stack)).toEqual([]);
  });
});

test('OpenTofu’s own force-unlock, by the lock’s id, is told of in the audit', async () => {
  const stack = await newStack();
  const own = await checkout(stack, tofu);
  const info = JSON.stringify({ ID: '5f5e1bf6-5a3e-4b6e-9b3e-3d1f8f6a9d10', Operation: 'x', Who: 'gone@laptop' });
  const url = `${process.env['PORTAL_URL']}/api/state/${stack.name}/lock`;
  const authorization = `Basic ${Buffer.from(`ci:${stack.env['TF_HTTP_PASSWORD']}`).toString('base64')}`;
  expect((await fetch(url, { method: 'POST', body: info, headers: { authorization } })).status).toBe(200);
  expect((await runTofu(own, ['force-unlock', '-force', '00000000-0000-0000-0000-000000000000'])).code).toBe(1);
  done(await runTofu(own, ['force-unlock', '-force', '5f5e1bf6-5a3e-4b6e-9b3e-3d1f8f6a9d10']));
  const told = { action: 'state:force-unlock', target: `state/${stack.name}` };
  expect(await unsafeDb().audit.findMany({ where: told })).toMatchObject([{ before: { Who: 'gone@laptop' } }]);
});

test('a state that OpenTofu encrypts is kept as it comes, in order, and read back', async () => {
  const stack = await newStack();
  const TF_ENCRYPTION = `
    key_provider "pbkdf2" "own" {
      passphrase = "correct horse battery staple"
      iterations = 200000
    }
    method "aes_gcm" "own" { keys = key_provider.pbkdf2.own }
    state {
      method   = method.aes_gcm.own
      enforced = true
    }`;
  const own = await checkout(stack, tofu, { TF_ENCRYPTION });
  done(await apply(own, 'one'));
  done(await apply(own, 'two'));
  const versions = await versionsOf(stack);
  expect(versions.every(({ isEncrypted, resources }) => isEncrypted && resources === null)).toBe(true);
  expect(versions.every(({ serial, lineage }) => serial !== null && lineage !== null)).toBe(true);
  expect(await downloaded(stack, versions[0]?.number ?? 0)).not.toContain('two');
  expect(done(await runTofu(own, ['state', 'pull'])).stdout).toContain('"two"');
});
