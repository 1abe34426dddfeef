// A real Kubernetes API on loopback: etcd, kube-apiserver and kube-controller-manager, built once from their Go modules.
// There are no nodes, so pods stay pending; everything else (quotas, Pod Security, garbage collection, RBAC) is as anywhere.
//
//   node sandbox/control-plane.ts build    builds it, showing how far it is, and prints where it is
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildGoProgram, type BuildOptions, builtGoProgram, type GoProgram, type Progress } from '#sandbox/go-build.ts';
import { freePort, logTail, startChild, waitUntil, type Child } from '#sandbox/process.ts';

const SOURCE = fileURLToPath(new URL('./control-plane/', import.meta.url));
const KUBERNETES = '1.37.2';
/** What an operator applies to a cluster for the portal: its rights, and what it and all others are held to. */
const OPERATORS = fileURLToPath(new URL('../deploy/cluster/', import.meta.url));

// ---------------------------------------------------------------------------------------------------------- building

export { CannotBuild, type BuildOptions, type Progress } from '#sandbox/go-build.ts';

/** The binary, when an earlier build left it in the cache. */
export function builtControlPlane(): string | undefined {
  return builtGoProgram(program);
}

/**
 * Builds the binary into the user's cache, or waits for whoever is already building it. About ten minutes of two cores the
 * first time, at low priority, so that what runs meanwhile stays usable.
 */
export function buildControlPlane(options: BuildOptions = {}): Promise<string> {
  return buildGoProgram(program, options);
}

const program: GoProgram = {
  name: 'control-plane',
  title: 'The Kubernetes control plane',
  source: SOURCE,
  inputs: ['main.go'],
  target: '.',
  linkerFlags: linkerFlags(),
};

function linkerFlags(): string {
  const [major, minor] = KUBERNETES.split('.');
  const set = (name: string, value?: string) => `-X k8s.io/component-base/version.${name}=${value}`;
  return [set('gitVersion', `v${KUBERNETES}`), set('gitMajor', major), set('gitMinor', minor)].join(' ');
}

// ---------------------------------------------------------------------------------------------------------- running

export interface ControlPlaneOptions {
  /** A folder of its own, readable by nobody else. */
  dataDir: string;
  /** From buildControlPlane(). */
  binary: string;
  port?: number;
  /** False: nothing is synced to disk, and the folder is removed at the end and at the next start. */
  keepData: boolean;
  logDir?: string;
}

export interface ControlPlane {
  /** cluster-admin. */
  kubeconfigPath: string;
  /** The portal's own account as deploy/ has it, which may do what deploy/cluster says and no more. */
  portalKubeconfigPath: string;
  serverUrl: string;
  port: number;
  /** By name, for a supervisor that reports one which ends by itself. */
  children: Record<'etcd' | 'kube-apiserver' | 'kube-controller-manager', Child & { logFile: string }>;
  /** Runs kubectl as cluster-admin and returns what it prints. */
  kubectl(...args: string[]): string;
  stop(): Promise<void>;
}

const USERS = {
  admin: { name: 'sandbox-admin', group: 'system:masters' },
  controllers: { name: 'system:kube-controller-manager', group: '' },
  // By name and group the API server takes these two for the service accounts that they would be in a pod.
  portal: { name: 'system:serviceaccount:flywheel:flywheel-worker', group: 'system:serviceaccounts:flywheel' },
  web: { name: 'system:serviceaccount:flywheel:flywheel-web', group: 'system:serviceaccounts:flywheel' },
} as const;
type User = keyof typeof USERS;

interface Parts {
  options: ControlPlaneOptions;
  dir: string;
  serverUrl: string;
  port: number;
}

export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const dir = resolve(options.dataDir);
  if (!options.keepData) rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const port = await freePort(options.port ?? 0);
  const parts: Parts = { options, dir, port, serverUrl: `https://127.0.0.1:${port}` };
  writeKeys(dir);
  const tokens = writeTokens(dir);
  const started: Child[] = [];
  const stop = async () => {
    // Those that write first, what they write to last.
    for (const child of started.toReversed()) await child.stop();
    if (!options.keepData) rmSync(dir, { recursive: true, force: true });
  };
  const start = (name: string, args: string[]) => {
    const child = startPart(parts, name, args);
    started.push(child);
    return child;
  };
  try {
    const etcd = start('etcd', etcdFlags(parts));
    const apiserver = start('apiserver', apiserverFlags(parts));
    await waitUntil('kube-apiserver', 90_000, () => isReady(parts, tokens.admin), apiserver);
    const kubeconfigs = writeKubeconfigs(parts, tokens);
    const controllers = start('controller-manager', controllerManagerFlags(parts, kubeconfigs.controllers));
    const kubectl = (...args: string[]) =>
      execFileSync(options.binary, ['kubectl', '--kubeconfig', kubeconfigs.admin, ...args], { encoding: 'utf8' });
    kubectl('apply', '--server-side', '-k', OPERATORS);
    await waitUntil('kube-controller-manager', 60_000, () => hasDefaultAccount(parts, tokens.admin), controllers);
    return {
      kubeconfigPath: kubeconfigs.admin,
      portalKubeconfigPath: kubeconfigs.portal,
      serverUrl: parts.serverUrl,
      port,
      children: { etcd, 'kube-apiserver': apiserver, 'kube-controller-manager': controllers },
      kubectl,
      stop,
    };
  } catch (error) {
    const tails = ['etcd', 'apiserver'].map((name) => `--- ${name}\n${logTail(logFileOf(parts, name), 5)}`);
    await stop();
    throw new Error(`${(error as Error).message}\n${tails.join('\n')}`, { cause: error });
  }
}

/** Where startControlPlane() will put the kubeconfigs, for processes that start before it has. */
export function kubeconfigPathsIn(dataDir: string): { admin: string; portal: string; web: string } {
  const dir = resolve(dataDir);
  return {
    admin: join(dir, 'kubeconfig'),
    portal: join(dir, 'portal.kubeconfig'),
    web: join(dir, 'web.kubeconfig'),
  };
}

function startPart(parts: Parts, name: string, args: string[]) {
  const logFile = logFileOf(parts, name);
  const child = startChild({
    command: parts.options.binary,
    args: [name, ...args],
    cwd: parts.dir,
    logFile,
    // The API server waits for open watches; nothing is lost by not letting it.
    stopTimeoutMs: 3000,
  });
  return { ...child, logFile };
}

function logFileOf(parts: Parts, name: string): string {
  return join(parts.options.logDir ?? parts.dir, `${name}.log`);
}

// etcd has no passwords here, so it listens on a socket file in our own folder and on no port that others could reach.
// The name must look like host:port; it is a file relative to the working directory, which all three share.
const ETCD = 'unix://etcd:0';

function etcdFlags({ options, dir }: Parts): string[] {
  rmSync(join(dir, 'etcd:0'), { force: true });
  const urls = [`--listen-client-urls=${ETCD}`, `--advertise-client-urls=${ETCD}`];
  const flags = [
    `--data-dir=${join(dir, 'etcd')}`,
    ...urls,
    '--listen-peer-urls=http://127.0.0.1:0',
    '--log-level=warn',
  ];
  return options.keepData ? flags : [...flags, '--unsafe-no-fsync'];
}

function apiserverFlags({ dir, port }: Parts): string[] {
  return [
    `--etcd-servers=${ETCD}`,
    `--secure-port=${port}`,
    '--bind-address=127.0.0.1',
    `--cert-dir=${join(dir, 'certs')}`,
    `--service-account-key-file=${join(dir, 'service-account.key')}`,
    `--service-account-signing-key-file=${join(dir, 'service-account.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--token-auth-file=${join(dir, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--service-cluster-ip-range=10.0.0.0/24',
    // As clusters with Docker-in-Docker runners have it; Pod Security decides per namespace.
    '--allow-privileged=true',
    '--anonymous-auth=false',
    '--profiling=false',
  ];
}

function controllerManagerFlags({ dir }: Parts, kubeconfig: string): string[] {
  return [
    `--kubeconfig=${kubeconfig}`,
    `--service-account-private-key-file=${join(dir, 'service-account.key')}`,
    '--use-service-account-credentials=true',
    '--controllers=*,-node-lifecycle-controller,-node-ipam-controller,-ttl-controller',
    '--leader-elect=false',
    // Tests make and remove hundreds of namespaces; at the usual 20 requests a second its controllers come to lag minutes behind.
    '--kube-api-qps=200',
    '--kube-api-burst=400',
    // A write that was cut off may be counted and not there; by itself the cluster counts anew every five minutes.
    '--resource-quota-sync-period=30s',
    '--secure-port=0',
  ];
}

function writeKeys(dir: string): void {
  const certificate = join(dir, 'certs', 'apiserver.crt');
  // The server signs itself a certificate for a year and does not look at it again.
  const OLD_MS = 300 * 24 * 3600 * 1000;
  if (existsSync(certificate) && Date.now() - statSync(certificate).mtimeMs > OLD_MS) {
    rmSync(join(dir, 'certs'), { recursive: true });
  }
  const file = join(dir, 'service-account.key');
  if (existsSync(file)) return;
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  writeFileSync(file, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
}

function writeTokens(dir: string): Record<User, string> {
  const file = join(dir, 'tokens.json');
  const kept = existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Partial<Record<User, string>>) : {};
  const fresh = () => randomBytes(32).toString('base64url');
  const made: Record<User, string> = { admin: fresh(), controllers: fresh(), portal: fresh(), web: fresh() };
  const tokens = { ...made, ...kept };
  writeFileSync(file, JSON.stringify(tokens), { mode: 0o600 });
  const lines = (Object.keys(USERS) as User[]).map((user) => {
    const { name, group } = USERS[user];
    return `${tokens[user]},${name},${name}${group && `,"${group}"`}\n`;
  });
  writeFileSync(join(dir, 'tokens.csv'), lines.join(''), { mode: 0o600 });
  return tokens;
}

function writeKubeconfigs(parts: Parts, tokens: Record<User, string>): Record<User, string> {
  const paths = { ...kubeconfigPathsIn(parts.dir), controllers: join(parts.dir, 'controllers.kubeconfig') };
  for (const user of Object.keys(USERS) as User[]) {
    // Readers may be waiting for the file to appear, so it appears whole.
    writeFileSync(`${paths[user]}.new`, kubeconfig(parts, USERS[user].name, tokens[user]), { mode: 0o600 });
    renameSync(`${paths[user]}.new`, paths[user]);
  }
  return paths;
}

function kubeconfig(parts: Parts, user: string, token: string): string {
  const ca = certificateAuthority(parts).toString('base64');
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'sandbox',
    clusters: [{ name: 'sandbox', cluster: { server: parts.serverUrl, 'certificate-authority-data': ca } }],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: 'sandbox', context: { cluster: 'sandbox', user } }],
  };
  // JSON is YAML, and needs no care about quoting.
  return `${JSON.stringify(config, null, 2)}\n`;
}

/** The API server writes its certificate and the authority that it made for it into one file. */
function certificateAuthority({ dir }: Parts): Buffer {
  return readFileSync(join(dir, 'certs', 'apiserver.crt'));
}

async function isReady(parts: Parts, token: string): Promise<boolean> {
  return existsSync(join(parts.dir, 'certs', 'apiserver.crt')) && (await status(parts, token, '/readyz')) === 200;
}

async function hasDefaultAccount(parts: Parts, token: string): Promise<boolean> {
  return (await status(parts, token, '/api/v1/namespaces/default/serviceaccounts/default')) === 200;
}

function status(parts: Parts, token: string, path: string): Promise<number | undefined> {
  return new Promise((done) => {
    const headers = { authorization: `Bearer ${token}` };
    const asked = request(`${parts.serverUrl}${path}`, { ca: certificateAuthority(parts), headers }, (answer) => {
      answer.resume();
      done(answer.statusCode);
    });
    asked.on('error', () => done(undefined));
    asked.setTimeout(5000, () => asked.destroy());
    asked.end();
  });
}

/** One line now and then, for a terminal that may be a log file. */
export function progressLine({ done, total }: Progress): string {
  if (total === 0) return 'Kubernetes control plane: fetching its Go modules …';
  return `Kubernetes control plane: ${done} of ${total} packages compiled`;
}

async function main([command]: string[]): Promise<void> {
  if (command !== 'build') throw new Error('Usage: node sandbox/control-plane.ts build');
  let last = 0;
  const onProgress = (progress: Progress) => {
    if (Date.now() - last < 10_000 && progress.done < progress.total) return;
    last = Date.now();
    console.log(progressLine(progress));
  };
  console.log(await buildControlPlane({ onProgress }));
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
