import { readFileSync, realpathSync } from 'node:fs';
import { dirname, join, resolve, sep } from 'node:path';
import { KubeConfig } from '@kubernetes/client-node';
import { parse } from 'yaml';

/*
 * A kubeconfig may name programs to run, files to send and servers to go by. One that an operator mounted is trusted to say where a
 * cluster is and by what token or certificate, and nothing else: what it says beyond is refused by name, before any library
 * reads it. What it refers to is in its own folder.
 */

type Entry = Record<string, unknown>;

const clusterKeys = ['server', 'certificate-authority', 'certificate-authority-data', 'tls-server-name'];
const userKeys = [
  'token',
  'tokenFile',
  'client-certificate',
  'client-certificate-data',
  'client-key',
  'client-key-data',
];

/** What is refused oftenest, in words. */
const refusals: Record<string, string> = {
  exec: 'names a program to run (exec), which the portal does not run: give it a token or a client certificate',
  'auth-provider': 'names an auth-provider, which the portal does not run: give it a token or a client certificate',
  'insecure-skip-tls-verify': 'would trust any server (insecure-skip-tls-verify): give it the certificate-authority',
  'proxy-url': 'goes by a proxy (proxy-url), which is not accepted',
};

export class KubeconfigRefused extends Error {
  override name = 'KubeconfigRefused';
}

function refuse(what: string): never {
  throw new KubeconfigRefused(what);
}

/** A folder that kubeconfigs are mounted in, and what they refer to. */
export type Mounted = {
  folder: string;
  /**
   * For a sandbox alone: plain http, any server's certificate, and files from anywhere. Programs are never run.
   */
  isLax?: boolean;
};

/** What is read of a kubeconfig's context. Each time anew: files are rotated. */
export function readKubeconfig(mounted: Mounted, file: string, context: string | null): KubeConfig {
  const text = fileIn(mounted, file, `the kubeconfig ${file}`);
  const { clusters, users, contexts, current } = partsOf(text, file);
  const chosen = context ?? current;
  const found = contexts.get(chosen) ?? refuse(`the kubeconfig ${file} has no context ${chosen}`);
  const of = `context ${chosen} of ${file}`;
  const clusterName = String(found['cluster'] ?? '');
  const userName = String(found['user'] ?? '');
  const cluster = clusters.get(clusterName) ?? refuse(`${of} names a cluster ${clusterName} that is not in it`);
  const user = users.get(userName) ?? refuse(`${of} names a user ${userName} that is not in it`);
  const mayBeInsecure = mounted.isLax ? ['insecure-skip-tls-verify'] : [];
  refuseOthers(cluster, [...clusterKeys, ...mayBeInsecure], `cluster ${clusterName} in ${file}`);
  refuseOthers(user, userKeys, `user ${userName} in ${file}`);
  return kubeConfigOf(mounted, file, cluster, user);
}

/** The contexts by name, and the one that is current. */
export function contextsOf(mounted: Mounted, file: string): { names: string[]; current: string } {
  const { contexts, current } = partsOf(fileIn(mounted, file, `the kubeconfig ${file}`), file);
  return { names: [...contexts.keys()], current };
}

function partsOf(text: string, file: string) {
  let parsed: unknown;
  try {
    parsed = parse(text);
  } catch {
    // Its words would quote what stands there.
    refuse(`the kubeconfig ${file} is no YAML`);
  }
  const config = entryOf(parsed) ?? refuse(`the kubeconfig ${file} is no kubeconfig`);
  return {
    clusters: named(config['clusters'], 'cluster'),
    users: named(config['users'], 'user'),
    contexts: named(config['contexts'], 'context'),
    current: String(config['current-context'] ?? ''),
  };
}

function entryOf(value: unknown): Entry | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Entry) : null;
}

function named(list: unknown, key: string): Map<string, Entry> {
  const entries = (Array.isArray(list) ? list : []).flatMap((each): [string, Entry][] => {
    const entry = entryOf(each);
    return entry ? [[String(entry['name'] ?? ''), entryOf(entry[key]) ?? {}]] : [];
  });
  return new Map(entries);
}

function refuseOthers(entry: Entry, known: readonly string[], of: string): void {
  for (const [key, value] of Object.entries(entry)) {
    // Written out, and off.
    if (known.includes(key) || value === null || value === false || value === '') continue;
    refuse(`${of} ${refusals[key] ?? `says ${key}, which is not accepted`}`);
  }
}

function kubeConfigOf(mounted: Mounted, file: string, cluster: Entry, user: Entry): KubeConfig {
  const server = String(cluster['server'] ?? '').replace(/\/$/, '');
  if (!URL.canParse(server)) refuse(`${file} names no server that is an address`);
  if (!server.startsWith('https://') && !mounted.isLax) refuse(`${file} names a server that is not https`);
  const data = (key: string, from: Entry) => dataOf(mounted, file, from, key);
  const token = from(user['token']) ?? tokenOf(mounted, file, user['tokenFile']);
  const [certData, keyData] = [data('client-certificate', user), data('client-key', user)];
  if (token === undefined && (certData === undefined || keyData === undefined))
    refuse(`the user of ${file} has neither a token nor a client certificate with its key`);
  return made(
    {
      server,
      skipTLSVerify: mounted.isLax === true && cluster['insecure-skip-tls-verify'] === true,
      caData: data('certificate-authority', cluster),
      tlsServerName: from(cluster['tls-server-name']),
    },
    { token, certData, keyData },
  );
}

type ClusterPart = {
  server: string;
  skipTLSVerify: boolean;
  caData: string | undefined;
  tlsServerName?: string | undefined;
};
type UserPart = { token?: string | undefined; certData?: string | undefined; keyData?: string | undefined };

function made(cluster: ClusterPart, user: UserPart): KubeConfig {
  const given = <T extends object>(part: T) =>
    Object.fromEntries(Object.entries(part).filter(([, value]) => value !== undefined));
  const config = new KubeConfig();
  config.loadFromClusterAndUser(
    { name: 'cluster', ...given(cluster) } as Parameters<KubeConfig['loadFromClusterAndUser']>[0],
    { name: 'user', ...given(user) },
  );
  return config;
}

function from(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** As base64: given in place, or as a file of the folder. */
function dataOf(mounted: Mounted, file: string, entry: Entry, key: string): string | undefined {
  const inline = from(entry[`${key}-data`]);
  const path = from(entry[key]);
  if (inline !== undefined || path === undefined) return inline;
  return Buffer.from(fileIn(mounted, path, `${key} of ${file}`)).toString('base64');
}

function tokenOf(mounted: Mounted, file: string, path: unknown): string | undefined {
  const named = from(path);
  return named === undefined ? undefined : fileIn(mounted, named, `tokenFile of ${file}`).trim();
}

/** A file of the folder, whatever links lead to it: Kubernetes mounts its files as such. */
function fileIn({ folder, isLax }: Mounted, path: string, what: string): string {
  const root = real(folder, `the folder ${folder}`);
  const asked = resolve(folder, path);
  const found = real(asked, what);
  if (!isLax && found !== root && !found.startsWith(root + sep))
    refuse(`${what} is outside the folder that it is mounted in`);
  try {
    return readFileSync(found, 'utf8');
  } catch {
    return refuse(`${what} cannot be read`);
  }
}

function real(path: string, what: string): string {
  try {
    return realpathSync(path);
  } catch {
    return refuse(`${what} is not there`);
  }
}

/** The account of the pod that we run in, its token read anew: it is rotated. */
export function ownAccount(pathPrefix = ''): KubeConfig {
  const config = new KubeConfig();
  config.loadFromCluster(pathPrefix);
  const cluster = config.getCurrentCluster();
  const own = config.getCurrentUser()?.authProvider as { config: { tokenFile: string } } | undefined;
  const tokenFile = own?.config.tokenFile ?? '';
  const folder = dirname(tokenFile);
  const mounted = { folder };
  return made(
    {
      server: cluster?.server ?? '',
      skipTLSVerify: false,
      caData: Buffer.from(fileIn(mounted, join(folder, 'ca.crt'), 'the authority of the pod’s account')).toString(
        'base64',
      ),
    },
    { token: fileIn(mounted, tokenFile, 'the token of the pod’s account').trim() },
  );
}
