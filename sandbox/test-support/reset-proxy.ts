// A proxy that breaks the connection at the k-th write, before or after it took effect on the other side (F6, F15), or in
// front of a process that dies of it (F1), or always.
import { createServer, request, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export type Moment = 'before' | 'after';

export interface ResetProxy {
  url: string;
  /** Writes seen since the last `arm`. */
  writes: number;
  /** Writes ever seen whose path has this in it: of one of several who write at once. */
  writesAt(part: string): number;
  /** With `onHit`, who wrote dies there: nothing gets through from then on, until it is armed anew. */
  arm(at: { write: number; moment: Moment } | null, onHit?: () => void): void;
  /** While true, every connection ends before anything is said. */
  away: boolean;
  stop(): Promise<void>;
}

const reads = new Set(['GET', 'HEAD', 'OPTIONS']);

/** `counts` says which requests are effects: tokens that are minted, for one, are not. */
export async function startResetProxy(
  target: string,
  counts: (method: string, path: string) => boolean = () => true,
): Promise<ResetProxy> {
  let armed: { write: number; moment: Moment } | null = null;
  let dies: (() => void) | undefined;
  let isDead = false;
  const paths: string[] = [];
  const writesAt = (part: string) => paths.filter((path) => path.includes(part)).length;
  const proxy = { url: '', writes: 0, writesAt, away: false, arm, stop };
  const reset = (asked: IncomingMessage) => {
    isDead = dies !== undefined;
    dies?.();
    asked.socket.destroy();
  };
  const server = createServer((asked, answer) => {
    if (isDead || proxy.away) return void asked.socket.destroy();
    const isWrite = !reads.has(asked.method ?? 'GET') && counts(asked.method ?? 'GET', asked.url ?? '/');
    if (isWrite) {
      proxy.writes += 1;
      paths.push(asked.url ?? '/');
    }
    const moment = isWrite && armed?.write === proxy.writes ? armed.moment : undefined;
    if (moment === 'before') reset(asked);
    else forward(target, asked, answer, moment === 'after' ? reset : undefined);
  });
  function arm(at: { write: number; moment: Moment } | null, onHit?: () => void): void {
    armed = at;
    dies = onHit;
    isDead = false;
    proxy.writes = 0;
  }
  async function stop(): Promise<void> {
    server.closeAllConnections();
    await new Promise((closed) => server.close(closed));
  }
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening));
  proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return proxy;
}

function forward(
  target: string,
  asked: IncomingMessage,
  answer: ServerResponse,
  thenReset?: (asked: IncomingMessage) => void,
): void {
  const { host: _, ...headers } = asked.headers;
  const onward = request(new URL(asked.url ?? '/', target), { method: asked.method, headers }, (got) => {
    if (thenReset) {
      got.resume().on('end', () => thenReset(asked));
      return;
    }
    answer.writeHead(got.statusCode ?? 502, got.headers);
    got.pipe(answer);
  });
  onward.on('error', () => asked.socket.destroy());
  asked.pipe(onward);
}
