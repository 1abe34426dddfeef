// Clients of a cluster for tests, and a proxy in front of it that fails as networks and API servers do.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { Agent, request } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { KubeConfig } from '@kubernetes/client-node';
import { ClusterClient } from '#lib/cluster/index.ts';

function kubeConfigOf(path: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromFile(path);
  return config;
}

export function clusterClient(kubeconfigPath: string): ClusterClient {
  return new ClusterClient({ id: 'test', kubeConfig: () => kubeConfigOf(kubeconfigPath) });
}

/** Of the text of a kubeconfig. */
export function kubeConfigFrom(text: string): KubeConfig {
  const config = new KubeConfig();
  config.loadFromString(text);
  return config;
}

function plainConfig(server: string, token = 'token'): KubeConfig {
  const config = new KubeConfig();
  config.loadFromClusterAndUser({ name: 'test', server, skipTLSVerify: true }, { name: 'test', token });
  return config;
}

/** A client of whatever listens there, without TLS. */
export function plainClient(server: string, token?: string): ClusterClient {
  const config = plainConfig(server, token);
  return new ClusterClient({ id: 'test', kubeConfig: () => config });
}

/** What happens to one request in place of an answer. */
export type Fault =
  /** The connection ends before anything was sent on. */
  | { kind: 'refuse' }
  /** The server did what was asked, and its answer was lost. */
  | { kind: 'reset after' }
  | { kind: 'answer'; status: number; headers?: Record<string, string>; body?: unknown };

/** One request as it was sent on, and what it was answered with. */
export type Heard = { method: string; url: URL; contentType: string; body: string; status: number };

export interface FaultyProxy extends AsyncDisposable {
  client: ClusterClient;
  url: string;
  /** Of whoever the kubeconfig names. */
  token: string;
  /** For a process of its own: the text of a kubeconfig that leads here, with the rights of the one that was given. */
  kubeconfig: string;
  /** All that was asked, as `PATCH /api/v1/…`. */
  requests: string[];
  /** Decides on each request; undefined lets it through. */
  fault: ((asked: { method: string; path: string; watch: boolean }) => Fault | undefined) | undefined;
  /** Told of each request when its answer begins. */
  heard: ((heard: Heard) => void) | undefined;
  /** Ends every watch that is open, in the middle of a line. */
  cutWatches(): number;
  stop(): Promise<void>;
}

export async function startFaultyProxy(kubeconfigPath: string): Promise<FaultyProxy> {
  const config = kubeConfigOf(kubeconfigPath);
  const server = config.getCurrentCluster()?.server ?? '';
  const agent = new Agent({ rejectUnauthorized: false, keepAlive: true });
  const watches = new Set<Socket>();
  const requests: string[] = [];

  const forward = (asked: IncomingMessage, answer: ServerResponse, fault: Fault | undefined, watch: boolean) => {
    const { method, url, headers } = asked;
    const body: Buffer[] = [];
    if (proxy.heard) asked.on('data', (chunk: Buffer) => body.push(chunk));
    const upstream = request(
      server + url,
      { method, headers: { ...headers, host: new URL(server).host }, agent },
      (given) => {
        proxy.heard?.({
          method: method ?? '',
          url: new URL(url ?? '', server),
          contentType: headers['content-type'] ?? 'application/json',
          body: Buffer.concat(body).toString(),
          status: given.statusCode ?? 0,
        });
        if (fault?.kind === 'reset after') {
          given.resume().on('end', () => asked.socket.destroy());
          return;
        }
        answer.writeHead(given.statusCode ?? 502, given.headers);
        answer.flushHeaders();
        if (watch) watches.add(asked.socket);
        given.pipe(answer);
      },
    );
    upstream.on('error', () => answer.destroy());
    answer.on('close', () => {
      watches.delete(asked.socket);
      upstream.destroy();
    });
    asked.pipe(upstream);
  };

  const listener = createServer((asked, answer) => {
    const url = new URL(asked.url ?? '', 'http://proxy');
    const watch = url.searchParams.get('watch') === 'true';
    const method = asked.method ?? '';
    requests.push(`${method} ${watch ? 'watch ' : ''}${url.pathname}`);
    const fault = proxy.fault?.({ method, path: url.pathname, watch });
    if (fault?.kind === 'refuse') asked.socket.destroy();
    else if (fault?.kind === 'answer') {
      answer.writeHead(fault.status, { 'content-type': 'application/json', ...fault.headers });
      answer.end(JSON.stringify(fault.body ?? { kind: 'Status', code: fault.status }));
    } else forward(asked, answer, fault, watch);
  });
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  const stop = async () => {
    listener.closeAllConnections();
    await new Promise((resolve) => listener.close(resolve));
    agent.destroy();
  };
  const url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const token = config.getCurrentUser()?.token ?? '';
  const proxy: FaultyProxy = {
    client: plainClient(url, token),
    url,
    token,
    kubeconfig: plainConfig(url, token).exportConfig(),
    requests,
    fault: undefined,
    heard: undefined,
    cutWatches: () => {
      const open = [...watches];
      for (const socket of open) socket.destroy();
      return open.length;
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
  return proxy;
}

type ServiceAccountName = { namespace: string; name: string };

/** A token of a service account, of the API server's own making (TokenRequest). */
export async function accountToken(kubeconfigPath: string, { namespace, name }: ServiceAccountName): Promise<string> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${name}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: 3600 } };
  const { status } = await clusterClient(kubeconfigPath).call<{ status: { token: string } }>(
    { method: 'POST', path, body },
    'a token',
  );
  return status.token;
}

/** A client that acts as a service account. */
export async function accountClient(kubeconfigPath: string, account: ServiceAccountName): Promise<ClusterClient> {
  const server = kubeConfigOf(kubeconfigPath).getCurrentCluster()?.server ?? '';
  return plainClient(server, await accountToken(kubeconfigPath, account));
}
