// What a sandbox keeps from one start to the next besides its databases: the ports behind its URLs, and its secrets.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commandLine, freePort, isAlive, waitUntil, watchdogPid } from '#sandbox/process.ts';

/** Written when everything runs, for the tools and tests that talk to it. */
export interface Address {
  portal: string;
  github: string;
  gitlab: string;
  forgejo: string;
  /** A real one, where it was asked for. */
  gitea?: string;
  attic: string;
  /** The portal's database as its owner, for what only time would bring about. */
  database?: string;
  /** cluster-admin; the file appears when the control plane is up. Absent without a cluster. */
  kubeconfig?: string;
  logs: string;
}

export class Keepsakes {
  readonly #dataDir: string;

  constructor(dataDir: string) {
    this.#dataDir = dataDir;
  }

  /** The port of an earlier start, else the preferred one, else any; the latter two are remembered. */
  async port(name: string, preferred: number, taken?: number): Promise<number> {
    const ports = this.#read<Record<string, number>>('ports.json') ?? {};
    const known = ports[name] === taken ? undefined : ports[name];
    const port = await freePort(known ?? preferred);
    if (ports[name] !== port) this.#write('ports.json', { ...ports, [name]: port });
    return port;
  }

  /** 32 random bytes in base64, made once. */
  secret(name: string): string {
    const secrets = this.#read<Record<string, string>>('secrets.json') ?? {};
    const secret = secrets[name] ?? randomBytes(32).toString('base64');
    if (!secrets[name]) this.#write('secrets.json', { ...secrets, [name]: secret });
    return secret;
  }

  address(): Address | undefined {
    return this.#read<Address>('address.json');
  }

  writeAddress(address: Address): void {
    this.#write('address.json', address);
  }

  /**
   * Throws when another process runs a sandbox on this data; two would spoil each other's. Of one that was killed, waits
   * until its children have gone too.
   */
  async takePossession(): Promise<{ release(): void }> {
    const owner = this.#read<{ pid: number; watchdog: number }>('running.json');
    if (owner && owner.pid !== process.pid && isRunning(owner.pid, 'up.ts')) {
      const where = this.address()?.portal ?? 'starting';
      throw new Error(`A sandbox is already running here (process ${owner.pid}, ${where}).`);
    }
    if (owner) {
      await waitUntil('An earlier sandbox', 15_000, async () => !isRunning(owner.watchdog, 'while read -r op pid'));
    }
    this.#write('running.json', { pid: process.pid, watchdog: watchdogPid() });
    return { release: () => rmSync(join(this.#dataDir, 'running.json'), { force: true }) };
  }

  #read<T>(name: string): T | undefined {
    const file = join(this.#dataDir, name);
    return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as T) : undefined;
  }

  #write(name: string, value: unknown): void {
    mkdirSync(this.#dataDir, { recursive: true, mode: 0o755 });
    const file = join(this.#dataDir, name);
    writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }
}

/** Numbers of ended processes are used again, so a live number alone proves little. */
function isRunning(pid: number, words: string): boolean {
  return isAlive(pid) && commandLine(pid).includes(words);
}
