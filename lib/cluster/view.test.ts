import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { plainClient } from '#sandbox/test-support/cluster.ts';
import { eventually } from '#sandbox/test-support/eventually.ts';
import { stamped } from './compare.ts';
import type { KubernetesObject } from './manifests.ts';
import { ClusterView, type Change } from './view.ts';

/*
 * What a watch may be told in an unlucky order, by an API server that is played here. How the real one behaves is in
 * view.cluster.test.ts.
 */

const labels = { 'app.kubernetes.io/managed-by': 'flywheel', 'flywheel.dev/tenant': 'acme' };

function quota(name: string, version: number, more: { uid?: string; pods?: string } = {}) {
  return {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: {
      name,
      namespace: 'runners-acme',
      uid: more.uid ?? `uid-${name}`,
      resourceVersion: String(version),
      labels,
    },
    spec: { hard: { pods: more.pods ?? '1' } },
  };
}
type Quota = ReturnType<typeof quota>;

/** Lists are what it says; watches stay open and say what the test has them say. */
class PlayedServer {
  readonly requests: string[] = [];
  list: { version: number; items: object[]; next?: string } = { version: 10, items: [] };
  /** In place of an answer, for resourcequotas alone. */
  answer: ((watch: boolean, url: URL, answer: ServerResponse) => boolean) | undefined;
  #watch: ServerResponse | undefined;
  #server: Server = createServer();

  async start(): Promise<string> {
    this.#server.on('request', (asked, answer: ServerResponse) =>
      this.#handle(new URL(asked.url ?? '', 'http://x'), answer),
    );
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  #handle(url: URL, answer: ServerResponse): void {
    const watch = url.searchParams.get('watch') === 'true';
    const isOurs = url.pathname.endsWith('/resourcequotas');
    if (isOurs) this.requests.push(watch ? `watch ${url.searchParams.get('resourceVersion')}` : 'list');
    if (isOurs && this.answer?.(watch, url, answer)) return;
    if (watch) {
      answer.writeHead(200, { 'content-type': 'application/json' }).flushHeaders();
      if (isOurs) this.#watch = answer;
      return;
    }
    const { version, items } = isOurs ? this.list : { version: 10, items: [] };
    answer.end(JSON.stringify({ metadata: { resourceVersion: String(version) }, items }));
  }

  /** Says it on the watch that is open, as soon as one is. */
  async say(type: string, object: object): Promise<void> {
    const watch = await eventually('a watch', () => this.#watch);
    watch.write(`${JSON.stringify({ type, object })}\n`);
  }

  /** Breaks the connection in the middle of a line. */
  async breakWatch(): Promise<void> {
    const watch = await eventually('a watch', () => this.#watch);
    this.#watch = undefined;
    watch.write('{"type":"ADDED","obj');
    await sleep(20);
    watch.destroy();
  }

  async endWatch(): Promise<void> {
    const watch = await eventually('a watch', () => this.#watch);
    this.#watch = undefined;
    watch.end();
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

let server: PlayedServer;
let view: ClusterView;
let changes: string[];
let abort: AbortController;

beforeEach(async () => {
  server = new PlayedServer();
  view = new ClusterView(plainClient(await server.start()));
  changes = [];
  abort = new AbortController();
  view.onChange(({ kind, name, deleted, object }: Change) =>
    changes.push(`${deleted ? '-' : '+'} ${kind} ${name} ${object.metadata.resourceVersion}`),
  );
});
afterEach(async () => {
  abort.abort();
  await view.stopped();
  await server.stop();
});

async function synced(): Promise<void> {
  view.start(abort.signal);
  expect(await view.whenSynced(5_000)).toBe(true);
}

function podsOf(object: KubernetesObject): string | undefined {
  const known = view.get(object) as unknown as Quota | undefined;
  return known?.spec.hard.pods;
}

describe('list and watch', () => {
  test('an absence means nothing before every kind was listed', async () => {
    server.answer = (watch, _, answer) => {
      if (!watch) answer.writeHead(503).end('{}');
      return !watch;
    };
    view.start(abort.signal);
    expect(await view.whenSynced(300)).toBe(false);
    server.answer = undefined;
    expect(await view.whenSynced(5_000)).toBe(true);
  });

  test('knows what was listed, and what is told after', async () => {
    server.list.items = [quota('a', 5)];
    await synced();
    expect(podsOf(quota('a', 0))).toBe('1');
    await server.say('ADDED', quota('b', 11));
    await server.say('MODIFIED', quota('a', 12, { pods: '2' }));
    await server.say('DELETED', quota('b', 13));
    await server.say('BOOKMARK', { metadata: { resourceVersion: '20' } });
    await eventually('the end', () => changes.length === 4);
    expect(changes).toEqual([
      '+ ResourceQuota a 5',
      '+ ResourceQuota b 11',
      '+ ResourceQuota a 12',
      '- ResourceQuota b 11',
    ]);
    expect([podsOf(quota('a', 0)), podsOf(quota('b', 0))]).toEqual(['2', undefined]);
    // A bookmark says from where to go on.
    await server.endWatch();
    await eventually('the next watch', () => server.requests.length === 3);
    expect(server.requests).toEqual(['list', 'watch 10', 'watch 20']);
  });

  test('a list comes in pages, and what is on none of them is gone', async () => {
    server.list.items = [quota('old', 1)];
    await synced();
    server.answer = (watch, url, answer) => {
      if (watch) return false;
      const isSecond = url.searchParams.get('continue') === 'more';
      const metadata = { resourceVersion: '30', ...(isSecond ? {} : { continue: 'more' }) };
      answer.end(JSON.stringify({ metadata, items: [quota(isSecond ? 'second' : 'first', 25)] }));
      return true;
    };
    await server.breakWatch();
    await eventually('both pages', () => podsOf(quota('second', 0)));
    expect([podsOf(quota('first', 0)), podsOf(quota('old', 0))]).toEqual(['1', undefined]);
    expect(changes.at(-1)).toBe('- ResourceQuota old 1');
  });

  test('a kind that the cluster does not have is no reason to wait', async () => {
    server.answer = (_, __, answer) => {
      answer.writeHead(404).end('404 page not found');
      return true;
    };
    await synced();
    expect([...view.all('ResourceQuota')]).toEqual([]);
  });

  test('tells what a namespace has of a kind, and of that namespace alone', async () => {
    const elsewhere = quota('there', 5);
    elsewhere.metadata.namespace = 'runners-other';
    server.list = { version: 10, items: [quota('a', 1), quota('b', 2), elsewhere] };
    await synced();
    const namesIn = (namespace: string) =>
      [...view.allIn(namespace, 'ResourceQuota')].map(({ metadata }) => metadata.name);
    expect([namesIn('runners-acme'), namesIn('runners-other'), namesIn('absent')]).toEqual([['a', 'b'], ['there'], []]);
    expect([...view.allIn('runners-acme', 'Secret')]).toEqual([]);
    await server.say('DELETED', quota('a', 11));
    await eventually('the deletion', () => namesIn('runners-acme').join() === 'b');
  });

  test('A23: holds no Secret’s value, and yet knows whether one is as it should be', async () => {
    const canary = Buffer.from('canary-5e1f').toString('base64');
    const metadata = { name: 's', namespace: 'runners-acme', labels };
    const wanted = stamped({ apiVersion: 'v1', kind: 'Secret', metadata, data: { key: canary } });
    const answered = { ...wanted, metadata: { ...wanted.metadata, uid: 'u', resourceVersion: '11' } };
    await view.learn(wanted, () => Promise.resolve(answered));
    expect(JSON.stringify([view.get(wanted), ...view.all('Secret')])).not.toContain(canary);
    expect(view.has(wanted)).toBe(true);
    const other = { ...wanted, data: { key: Buffer.from('another').toString('base64') } };
    expect(view.has(stamped(other))).toBe(false);
  });
});

describe('F7: a watch that breaks', () => {
  test.each<[string, () => Promise<void>]>([
    ['in the middle of a line', () => server.breakWatch()],
    ['with 410 in the stream', () => server.say('ERROR', { kind: 'Status', code: 410, metadata: {} })],
  ])('%s: all is listed again, and what went meanwhile is told', async (_, breakIt) => {
    server.list.items = [quota('a', 5), quota('b', 6)];
    await synced();
    await eventually('a watch', () => server.requests.includes('watch 10'));
    server.list = { version: 40, items: [quota('a', 35, { pods: '7' })] };
    await breakIt();
    await eventually('the end of b', () => changes.includes('- ResourceQuota b 6'));
    expect(podsOf(quota('a', 0))).toBe('7');
    await eventually('a watch from there', () => server.requests.includes('watch 40'));
    expect(server.requests).toEqual(['list', 'watch 10', 'list', 'watch 40']);
  });

  test('with 410 for an answer: listed again, and not in a circle', async () => {
    let gone = 0;
    server.answer = (watch, _, answer) => {
      if (watch) {
        gone += 1;
        answer.writeHead(410).end('{}');
      }
      return watch;
    };
    await synced();
    await sleep(1_500);
    expect(gone).toBeGreaterThan(1);
    expect(server.requests.length).toBeLessThan(12);
    server.answer = undefined;
    await server.say('ADDED', quota('a', 41));
    await eventually('a', () => podsOf(quota('a', 0)));
  });

  test('F3: an API server that asks for time is given it', async () => {
    const at: number[] = [];
    server.answer = (watch, _, answer) => {
      at.push(performance.now());
      if (watch && at.length === 2) answer.writeHead(429, { 'retry-after': '2' }).end('{}');
      return watch && at.length === 2;
    };
    await synced();
    await eventually('the next request', () => at.length > 2);
    expect((at[2] ?? 0) - (at[1] ?? 0)).toBeGreaterThan(1_950);
  });

  test('F2: an API server that is away is asked again, ever more seldom', async () => {
    await synced();
    server.answer = (_, __, answer) => {
      answer.socket?.destroy();
      return true;
    };
    const before = server.requests.length;
    await server.endWatch();
    await sleep(2_000);
    const asked = server.requests.length - before;
    expect(asked).toBeGreaterThan(1);
    expect(asked).toBeLessThan(8);
    server.answer = undefined;
    server.list = { version: 50, items: [quota('a', 45)] };
    await eventually('a', () => podsOf(quota('a', 0)));
  });
});

describe('F8: what is older never undoes what is newer', () => {
  test('an event that comes late', async () => {
    await synced();
    await server.say('ADDED', quota('a', 20, { pods: '2' }));
    await server.say('MODIFIED', quota('a', 9, { pods: '1' }));
    await server.say('MODIFIED', quota('a', 100, { pods: '3' }));
    await eventually('the last', () => podsOf(quota('a', 0)) === '3');
    await server.say('MODIFIED', quota('a', 99, { pods: '2' }));
    await server.say('ADDED', quota('b', 101));
    await eventually('b', () => podsOf(quota('b', 0)));
    expect(podsOf(quota('a', 0))).toBe('3');
    expect(changes).toEqual(['+ ResourceQuota a 20', '+ ResourceQuota a 100', '+ ResourceQuota b 101']);
  });

  test('a list by a replica that lags behind', async () => {
    await synced();
    await server.say('ADDED', quota('a', 60, { pods: '6' }));
    await eventually('a', () => podsOf(quota('a', 0)));
    server.list = { version: 30, items: [quota('a', 25, { pods: '2' })] };
    await server.breakWatch();
    await eventually('the next watch', () => server.requests.includes('watch 30'));
    expect(podsOf(quota('a', 0))).toBe('6');
  });

  test('a list that was taken before we made something does not take it away', async () => {
    await synced();
    const made = quota('made', 70);
    await view.learn(made, () => Promise.resolve(made));
    server.list = { version: 65, items: [] };
    await server.breakWatch();
    await eventually('the next watch', () => server.requests.includes('watch 65'));
    expect(podsOf(made)).toBe('1');
    expect(changes).toEqual([]);
    // One that was taken after it does.
    server.list = { version: 75, items: [] };
    await server.breakWatch();
    await eventually('its end', () => changes.includes('- ResourceQuota made 70'));
  });

  test('the end of a namesake that came before', async () => {
    await synced();
    await server.say('ADDED', quota('a', 20, { uid: 'first' }));
    await eventually('the first', () => changes.length === 1);
    const second = quota('a', 80, { uid: 'second', pods: '8' });
    await view.learn(second, () => Promise.resolve(second));
    await server.say('MODIFIED', quota('a', 30, { uid: 'first' }));
    await server.say('DELETED', quota('a', 79, { uid: 'first' }));
    await server.say('ADDED', quota('b', 81));
    await eventually('b', () => podsOf(quota('b', 0)));
    expect(view.get(second)?.metadata.uid).toBe('second');
    expect(changes).toEqual(['+ ResourceQuota a 20', '+ ResourceQuota b 81']);
  });

  test('the answer to a write that comes after the word that what was written has ended', async () => {
    await synced();
    const made = quota('a', 40);
    await view.learn(made, async () => {
      await server.say('ADDED', made);
      await server.say('DELETED', quota('a', 50));
      await server.say('ADDED', quota('b', 51));
      await eventually('b', () => podsOf(quota('b', 0)));
      return made;
    });
    expect(view.get(made)).toBeUndefined();
    // Who took our label off took it out of our sight: what is written to it then is seen again.
    await view.learn(made, async () => {
      await server.say('DELETED', quota('b', 60));
      await eventually('its end', () => podsOf(quota('b', 0)) === undefined);
      return quota('b', 61);
    });
    expect(podsOf(quota('b', 0))).toBe('1');
  });
});
