// A real Gitea on loopback, built once from its Go module. Its API is the one that Forgejo has kept, so that what is held to
// it here holds at both as far as they agree; Forgejo itself is no module. SQLite, no SSH, nothing that calls out.
//
//   node sandbox/gitea.ts build    builds it, showing how far it is, and prints where it is
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { buildGoProgram, type BuildOptions, builtGoProgram, goEnvironment, type GoProgram } from '#sandbox/go-build.ts';
import { freePort, logTail, startChild, waitUntil } from '#sandbox/process.ts';

const VERSION = '1.26.0';
const MODULE = 'code.gitea.io/gitea';
const TAGS = 'sqlite sqlite_unlock_notify';

// ---------------------------------------------------------------------------------------------------------- building

const program: GoProgram = {
  name: 'gitea',
  title: 'Gitea',
  source: fileURLToPath(new URL('./gitea/', import.meta.url)),
  stamp: `${VERSION} ${TAGS}`,
  target: MODULE,
  tags: TAGS,
  // Without a C compiler Go would leave SQLite out and say nothing.
  hasC: true,
  linkerFlags: `-X main.Version=${VERSION} -X 'main.Tags=${TAGS}'`,
};

/** The binary, when an earlier build left it in the cache. */
export function builtGitea(): string | undefined {
  return builtGoProgram(program);
}

/** About five minutes of two cores the first time. Its SQLite is C: a C compiler is needed beside Go. */
export function buildGitea(options: BuildOptions = {}): Promise<string> {
  return buildGoProgram(program, options);
}

const Downloaded = z.object({ Dir: z.string() });

/** Its templates and texts are read from the module's own folder, which Go fetches again should it be gone. */
async function moduleFolder(): Promise<string> {
  const options = { cwd: program.source, env: goEnvironment() };
  const { stdout } = await promisify(execFile)('go', ['mod', 'download', '-json', MODULE], options);
  return Downloaded.parse(JSON.parse(stdout)).Dir;
}

// ---------------------------------------------------------------------------------------------------------- running

export interface GiteaOptions {
  /** A folder of its own, empty: each start makes its people anew. */
  dataDir: string;
  port?: number;
  /** From buildGitea(), which is waited for when this is not given. */
  binary?: string;
}

export interface Gitea {
  url: string;
  version: string;
  /** The site administrator's, with every scope. */
  adminToken: string;
  /** `/api/v1` with a token or a password; throws where the answer is not 2xx. */
  api(
    method: string,
    path: string,
    options?: { token?: string; basic?: [string, string]; body?: unknown },
  ): Promise<unknown>;
  /** Makes a person, whose password is `passwordOf(login)`. */
  addUser(login: string): Promise<void>;
  passwordOf(login: string): string;
  /** A personal access token of that person with these scopes. */
  token(login: string, scopes: string[]): Promise<string>;
  log(): string;
  stop(): Promise<void>;
}

const ADMIN = 'site-admin';

/** Of everybody that is made here; nobody outside this machine can use it. */
export function giteaPassword(login: string): string {
  return `sandbox-${login}`;
}

export async function startGitea(options: GiteaOptions): Promise<Gitea> {
  const binary = options.binary ?? (await buildGitea());
  const dir = resolve(options.dataDir);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const port = await freePort(options.port ?? 0);
  const url = `http://127.0.0.1:${port}`;
  const config = join(dir, 'app.ini');
  writeFileSync(config, settings(dir, port, await moduleFolder()), { mode: 0o600 });
  const run = async (...args: string[]) =>
    (await promisify(execFile)(binary, ['--config', config, ...args], { cwd: dir, env: environment(dir) })).stdout;
  await run('migrate');
  const adminToken = await makeAdmin(run);
  const logFile = join(dir, 'gitea.log');
  const args = ['--config', config, 'web'];
  const child = startChild({ command: binary, args, cwd: dir, env: environment(dir), logFile });
  try {
    await waitUntil('Gitea', 60_000, () => answers(url), child);
  } catch (error) {
    await child.stop();
    throw new Error(`${(error as Error).message}\n${logTail(logFile, 10)}`, { cause: error });
  }
  return {
    url,
    version: VERSION,
    adminToken,
    ...helpers(url, adminToken),
    log: () => logTail(logFile),
    stop: child.stop,
  };
}

/** Root is refused by Gitea unless it is told that this is meant; in a container there may be nobody else. */
function environment(dir: string): NodeJS.ProcessEnv {
  const isRoot = process.getuid?.() === 0;
  return { ...process.env, HOME: dir, ...(isRoot ? { GITEA_I_AM_BEING_UNSAFE_RUNNING_AS_ROOT: 'true' } : {}) };
}

function settings(dir: string, port: number, moduleDir: string): string {
  const secret = () => randomBytes(32).toString('hex');
  return `
APP_NAME = Sandbox Gitea
RUN_USER = ${userInfo().username}
WORK_PATH = ${dir}
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = ${port}
ROOT_URL = http://127.0.0.1:${port}/
STATIC_ROOT_PATH = ${moduleDir}
OFFLINE_MODE = true
DISABLE_SSH = true
[database]
DB_TYPE = sqlite3
PATH = ${join(dir, 'gitea.db')}
[security]
INSTALL_LOCK = true
SECRET_KEY = ${secret()}
INTERNAL_TOKEN =
PASSWORD_HASH_ALGO = pbkdf2_v1
MIN_PASSWORD_LENGTH = 6
[service]
DISABLE_REGISTRATION = true
[webhook]
ALLOWED_HOST_LIST = loopback
[actions]
ENABLED = true
[indexer]
ISSUE_INDEXER_TYPE = db
[mailer]
ENABLED = false
[cron.update_checker]
ENABLED = false
[log]
MODE = console
LEVEL = Warn
`;
}

async function makeAdmin(run: (...args: string[]) => Promise<string>): Promise<string> {
  const person = ['--username', ADMIN, '--random-password', '--email', `${ADMIN}@example.org`];
  const rights = ['--admin', '--must-change-password=false', '--access-token', '--access-token-scopes', 'all'];
  const said = await run('admin', 'user', 'create', ...person, ...rights);
  const token = /\b[0-9a-f]{40}\b/.exec(said)?.[0];
  if (!token) throw new Error('Gitea made its administrator and told no token');
  return token;
}

async function answers(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/api/v1/version`).catch(() => undefined);
  return answer?.ok ?? false;
}

const MadeToken = z.object({ sha1: z.string() });

function helpers(url: string, adminToken: string) {
  const api: Gitea['api'] = async (method, path, { token = adminToken, basic, body } = {}) => {
    const authorization = basic ? `Basic ${Buffer.from(basic.join(':')).toString('base64')}` : `token ${token}`;
    const answer = await fetch(`${url}/api/v1${path}`, {
      method,
      headers: { authorization, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`);
    return text === '' ? undefined : (JSON.parse(text) as unknown);
  };
  const passwordOf = giteaPassword;
  let tokens = 0;
  return {
    api,
    passwordOf,
    async addUser(login: string): Promise<void> {
      const body = {
        username: login,
        password: passwordOf(login),
        email: `${login}@example.org`,
        must_change_password: false,
      };
      await api('POST', '/admin/users', { body });
    },
    async token(login: string, scopes: string[]): Promise<string> {
      tokens += 1;
      const body = { name: `t${tokens}`, scopes };
      const made = await api('POST', `/users/${login}/tokens`, { basic: [login, passwordOf(login)], body });
      return MadeToken.parse(made).sha1;
    },
  };
}

if (import.meta.main) {
  try {
    if (process.argv[2] !== 'build') throw new Error('Usage: node sandbox/gitea.ts build');
    let last = 0;
    const file = await buildGitea({
      onProgress({ done, total }) {
        if (Date.now() - last < 10_000 && done < total) return;
        last = Date.now();
        console.log(total === 0 ? 'Gitea: fetching its Go modules …' : `Gitea: ${done} of ${total} packages compiled`);
      },
    });
    console.log(file);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
