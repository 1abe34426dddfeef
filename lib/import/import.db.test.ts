import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { importCommand, runCommand } from '#lib/cli/index.ts';
import { closeDb, open, unsafeDb } from '#lib/db/index.ts';
import { AppError } from '#lib/errors.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';
import { startAttic, type Attic } from '#sandbox/attic/index.ts';
import { startGithub, type Github } from '#sandbox/github/index.ts';
import { startGitlab, type Gitlab } from '#sandbox/gitlab/index.ts';
import { testDatabase, type TestDatabase } from '#sandbox/test-support/index.ts';
import { testTerminal } from '#sandbox/test-support/terminal.ts';
import { importDocuments, ImportInput } from './index.ts';

/* docs/import.md as it stands, into an empty database, by the command of the process; and what is refused. */

let database: TestDatabase;
let github: Github;
let gitlab: Gitlab;
let attic: Attic;
const folder = mkdtempSync(join(tmpdir(), 'flywheel-import-'));
const now = new Date('2026-11-26T12:00:00Z');
const key = randomBytes(32).toString('base64');
let environment: Record<string, string>;

beforeAll(async () => {
  [database, github, gitlab, attic] = await Promise.all([
    testDatabase(),
    startGithub({ port: 0 }),
    startGitlab({ port: 0 }),
    startAttic({ port: 0, hs256SecretBase64: key }),
  ]);
  const settings = {
    DATABASE_URL: database.appUrl,
    PORTAL_URL: 'http://127.0.0.1:1',
    FLYWHEEL_SECRET_KEY: randomBytes(32).toString('base64'),
    FLYWHEEL_SANDBOX: '1',
    FLYWHEEL_OPERATORS: '',
    LOG_LEVEL: 'silent',
  };
  Object.assign(process.env, settings);
  const secrets = {
    GITHUB_CLIENT_SECRET: github.app.clientSecret,
    GITLAB_CLIENT_SECRET: gitlab.application.clientSecret,
  };
  environment = { ...settings, ...secrets };
  mkdirSync(join(folder, 'secrets'));
  writeFileSync(join(folder, 'secrets/github-app.pem'), github.app.privateKeyPem);
  writeFileSync(join(folder, 'secrets/github-webhook'), `${github.app.webhookSecret}\n`);
  writeFileSync(join(folder, 'secrets/attic-token'), `${key}\n`);
  const authority = join(import.meta.dirname, '../forge/fixtures/tls/authority.pem');
  copyFileSync(authority, join(folder, 'gitlab-authority.pem'));
  writeFileSync(join(folder, 'operators.yaml'), blocks().join('---\n'));
}, 60_000);
afterAll(async () => {
  await closeDb();
  await Promise.all([github?.stop(), gitlab?.stop(), attic?.stop()]);
  await database?.drop();
  rmSync(folder, { recursive: true });
});

/** The page's documents, with the addresses of what answers here. */
function blocks(): string[] {
  const page = readFileSync(join(import.meta.dirname, '../../docs/import.md'), 'utf8');
  return [...page.matchAll(/^```yaml\n([^]*?)^```$/gm)].map(([, block = '']) =>
    block
      .replaceAll('https://github.com', github.url)
      .replaceAll('https://gitlab.example.org', gitlab.url)
      .replaceAll('https://attic.example.org', attic.url),
  );
}

/** One of the page's documents, to be changed. */
function document(kind: string, name: string): { spec: Record<string, unknown> } {
  const all = blocks().flatMap((block) => parseAllDocuments(block).map((each) => each.toJS() as Named));
  const found = all.find((each) => each.kind === kind && each.metadata.name === name);
  if (!found) throw new Error(`no ${kind}/${name}`);
  return found;
}
type Named = { kind: string; metadata: { name: string }; spec: Record<string, unknown> };

function asked(kind: string, name: string, change: Record<string, unknown>) {
  const found = document(kind, name);
  return { ...found, spec: { ...found.spec, ...change } };
}

const given = () => ({
  'env:GITHUB_CLIENT_SECRET': github.app.clientSecret,
  'env:GITLAB_CLIENT_SECRET': gitlab.application.clientSecret,
  'file:secrets/github-app.pem': github.app.privateKeyPem,
  'file:secrets/github-webhook': github.app.webhookSecret,
  'file:secrets/attic-token': key,
  'file:gitlab-authority.pem': readFileSync(join(folder, 'gitlab-authority.pem'), 'utf8'),
});

const entered = (documents: unknown[], more: { by?: PersonCtx; dryRun?: boolean; secrets?: object } = {}) =>
  importDocuments(
    more.by ?? null,
    ImportInput.parse({ documents, secrets: more.secrets ?? given(), dryRun: more.dryRun ?? false }),
    now,
  );

async function refusal(doing: Promise<unknown>): Promise<Record<string, string>> {
  const error = await doing.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof AppError)) throw new Error(`not refused: ${String(error)}`);
  return error.screen.fields ?? { '': error.screen.happened };
}

/** All that an import may write, as the database has it. */
async function everything(): Promise<string> {
  const db = unsafeDb();
  const rows = await Promise.all([
    db.cluster.findMany({ orderBy: { id: 'asc' } }),
    db.pool.findMany({ orderBy: { name: 'asc' } }),
    db.rate.findMany({ orderBy: { id: 'asc' } }),
    db.forgeConnection.findMany({ orderBy: { id: 'asc' } }),
    db.cacheServer.findMany({ orderBy: { id: 'asc' } }),
    db.audit.findMany({ orderBy: { id: 'asc' } }),
  ]);
  return JSON.stringify(rows, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

const file = join(folder, 'operators.yaml');
const documents = ['Cluster/main', 'Pool/docker', 'Pool/nix', 'RateCard/list', 'Forge/github', 'Forge/gitlab'].concat([
  'CacheServer/attic',
  'Cluster/east',
]);

test('the documents of the page are entered into an empty database, once, and a dry run enters nothing', async () => {
  const empty = await everything();
  const command = importCommand('import', (request) => importDocuments(null, ImportInput.parse(request), now));
  const dry = testTerminal({ environment });
  expect([await runCommand(dry, command, ['-f', file, '--dry-run']), dry.said.err]).toEqual([
    3,
    '8 would be added, 0 changed, 0 left as they are. Nothing was changed.\n',
  ]);
  for (const name of documents) expect(dry.said.out).toContain(`+++ documents: ${name}\n`);
  expect(await everything()).toBe(empty);

  // As who installs it does, before anybody can sign in.
  const env = { ...process.env, ...environment };
  const { stdout } = await promisify(execFile)(process.execPath, ['lib/import.ts', '-f', file], { env });
  expect(stdout).toBe(dry.said.out);
  const there = await everything();
  expect(JSON.parse(there).map((rows: unknown[]) => rows.length)).toEqual([2, 2, 2, 2, 1, 8]);
  const secrets = Object.values(given()).filter((value) => !value.includes('CERTIFICATE'));
  expect(secrets.filter((secret) => there.includes(secret.trim()))).toEqual([]);
  const { sealedClientSecret, caBundle } = await unsafeDb().forgeConnection.findUniqueOrThrow({
    where: { id: 'gitlab' },
  });
  expect(await open(sealedClientSecret, 'forge_connection/gitlab/client_secret')).toBe(gitlab.application.clientSecret);
  expect(caBundle).toContain('BEGIN CERTIFICATE');
  expect(await unsafeDb().cluster.findUniqueOrThrow({ where: { id: 'east' } })).toMatchObject({
    kubeconfig: 'east.yaml',
    atticServerId: 'attic',
    pools: ['docker', 'nix'],
    bazelReaders: '10.20.0.0/16',
  });

  const again = testTerminal({ environment });
  expect([await runCommand(again, command, ['-f', folder]), again.said]).toEqual([
    0,
    { out: '', err: 'Nothing differs: all 8 are there as the documents say.\n' },
  ]);
  expect(await everything()).toBe(there);
}, 60_000);

test('what differs is changed and told field by field, by whoever asks; what is left out stays', async () => {
  const user = await unsafeDb().user.create({ data: { name: 'olive' } });
  const person = { userId: user.id, name: 'olive', imageUrl: null, identities: [], isOperator: true };
  const by: PersonCtx = { requestId: 'test', person };
  const pool = { ...document('Pool', 'nix'), spec: { memory: '16Gi', placement: null } };
  const cluster = asked('Cluster', 'east', { state: 'closed' });
  const { changes, kept } = await entered([pool, cluster, document('Forge', 'gitlab')], { by });
  expect(kept).toBe(true);
  expect(changes).toMatchObject([
    {
      name: 'Pool/nix',
      op: 'changed',
      fields: [
        { path: 'memory', before: '8Gi', after: '16Gi' },
        { path: 'placement', after: null },
      ],
    },
    { name: 'Forge/gitlab', op: 'unchanged' },
    { name: 'Cluster/east', op: 'changed', fields: [{ path: 'state', before: 'open', after: 'closed' }] },
  ]);
  expect(await unsafeDb().pool.findUniqueOrThrow({ where: { name: 'nix' } })).toMatchObject({
    cpu: '4',
    runnersMost: 20,
  });
  const [record] = await unsafeDb().audit.findMany({ where: { action: 'pool:change', target: 'pool/nix' } });
  expect(record).toMatchObject({ actorId: user.id, before: { memory: '8Gi' }, after: { memory: '16Gi' } });
  const stranger = { ...by, person: { ...person, isOperator: false } };
  await expect(entered([pool], { by: stranger })).rejects.toMatchObject({ code: 'not_found' });
});

const inDocument = 'is written as { file: … } or { env: … }: no secret stands in a document';
const hangs = expect.stringContaining('cannot change');
const replaced = expect.stringContaining('is another than the one that is kept');

test.each<[string, () => unknown[], Record<string, unknown>]>([
  [
    'a secret that stands in a document',
    () => [asked('Forge', 'gitlab', { clientSecret: 'swordfish' })],
    { 'Forge/gitlab: spec.clientSecret': inDocument },
  ],
  [
    'a secret as a value',
    () => [asked('CacheServer', 'attic', { signingSecret: { value: key } })],
    { 'CacheServer/attic: spec.signingSecret': inDocument },
  ],
  [
    'a reference without its value',
    () => [asked('Forge', 'gitlab', { clientSecret: { env: 'OTHER' } })],
    { 'Forge/gitlab: spec.clientSecret': 'refers to env OTHER, which was not given' },
  ],
  [
    'a kind that is not known',
    () => [{ ...document('Pool', 'nix'), kind: 'Cake' }],
    { 'Cake/nix: kind': 'is one of Cluster, Pool, RateCard, Forge, CacheServer' },
  ],
  [
    'a field that is not known',
    () => [asked('Pool', 'nix', { colour: 'red' })],
    { 'Pool/nix: spec': expect.stringContaining('colour') },
  ],
  [
    'the same twice',
    () => [document('Pool', 'nix'), document('Pool', 'nix')],
    { 'Pool/nix': 'is there more than once' },
  ],
  ['a pool that is none', () => [asked('Pool', 'nix', { cpu: 'many' })], { 'Pool/nix: spec.cpu': expect.any(String) }],
  [
    'a path in the place of a kubeconfig’s name',
    () => [{ ...asked('Cluster', 'east', { kubeconfig: { file: '../x', context: 'x' } }), metadata: { name: 'west' } }],
    { 'Cluster/west: spec.kubeconfig.file': expect.stringContaining('no path') },
  ],
  [
    'two clusters by one way',
    () => [{ ...asked('Cluster', 'east', { attic: null }), metadata: { name: 'west' } }],
    { 'Cluster/west: spec.kubeconfig': 'is that of the cluster east' },
  ],
  [
    'another address of a forge',
    () => [asked('Forge', 'gitlab', { baseUrl: 'https://gitlab.example.com' })],
    { 'Forge/gitlab: spec.baseUrl': hangs },
  ],
  [
    'another secret of a forge',
    () => [asked('Forge', 'gitlab', { clientSecret: { file: 'secrets/attic-token' } })],
    { 'Forge/gitlab: spec.clientSecret': replaced },
  ],
  [
    'another key of a server',
    () => [asked('CacheServer', 'attic', { signingSecret: { env: 'GITLAB_CLIENT_SECRET' } })],
    { 'CacheServer/attic: spec.signingSecret': replaced },
  ],
  [
    'a server of no cluster',
    () => [{ ...asked('CacheServer', 'attic', { cluster: 'west' }), metadata: { name: 'other' } }],
    { 'CacheServer/other: spec.cluster': 'there is no cluster west' },
  ],
  [
    'a key that the server does not take',
    () => [
      {
        ...asked('CacheServer', 'attic', { signingSecret: { file: 'secrets/github-webhook' } }),
        metadata: { name: 'other' },
      },
    ],
    { 'CacheServer/other: spec.signingSecret': expect.any(String) },
  ],
  [
    'a forge that does not answer as one',
    () => [{ ...asked('Forge', 'gitlab', { baseUrl: attic.url, caBundle: '' }), metadata: { name: 'other' } }],
    { 'Forge/other: spec.baseUrl': 'does not answer as GitLab does' },
  ],
  [
    'another price of a day',
    () => [
      asked('RateCard', 'list', {
        prices: [{ meter: 'runnerSeconds', pool: 'nix', unitPrice: '1', validFrom: '2026-01-01' }],
      }),
    ],
    { 'RateCard/list: spec.validFrom': expect.stringContaining('is another') },
  ],
  [
    'a price that loses digits',
    () => [asked('RateCard', 'list', { prices: [{ meter: 'runnerSeconds', unitPrice: 1, validFrom: '2027-01-01' }] })],
    { 'RateCard/list: spec.prices.0.unitPrice': expect.stringContaining('quotes') },
  ],
])('%s is refused, and of what came with it nothing is kept', async (_, wrong, fields) => {
  const before = await everything();
  const beside = { ...document('Pool', 'docker'), metadata: { name: 'beside' } };
  expect(await refusal(entered([beside, ...wrong()]))).toEqual(fields);
  expect(await everything()).toBe(before);
});
