import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startCollector, type Collector } from '#sandbox/test-support/otlp.ts';
import { within } from './context.ts';
import { conceal } from './secrets.ts';
import { startTracing } from './start-tracing.ts';
import { span, traceId, traceparent } from './traces.ts';

let collector: Collector;
let end: (() => Promise<void>) | undefined;
const errors: unknown[] = [];

beforeEach(async () => {
  errors.length = 0;
  collector = await startCollector();
});
afterEach(async () => {
  await end?.();
  end = undefined;
  await collector.stop();
});

async function begin(more: { ratio?: number; url?: string; headers?: string[] } = {}): Promise<void> {
  end = await startTracing(
    {
      OTEL_EXPORTER_OTLP_ENDPOINT: more.url ?? collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: more.headers ?? [],
      OTEL_TRACES_SAMPLER_ARG: more.ratio ?? 1,
    },
    'test',
    (error) => errors.push(error),
  );
}

/** All that was made so far, at the collector. */
async function sent(): Promise<Collector['spans']> {
  await end?.();
  end = undefined;
  return collector.spans;
}

const nothing = () => Promise.resolve();

describe('spans', () => {
  test('lie within each other as the work does, whoever works beside', async () => {
    await begin();
    await Promise.all(
      ['a', 'b'].map((each) =>
        within({ requestId: each }, () =>
          span(`outer ${each}`, { kind: 'server' }, async () => {
            await new Promise((resolve) => setTimeout(resolve, 5));
            await span(`inner ${each}`, { kind: 'client' }, nothing);
          }),
        ),
      ),
    );
    const spans = await sent();
    const named = (name: string) => spans.find((each) => each.name === name);
    expect(spans.map(({ service, kind, name }) => `${service} ${kind} ${name}`).toSorted()).toEqual([
      'test 2 outer a',
      'test 2 outer b',
      'test 3 inner a',
      'test 3 inner b',
    ]);
    for (const each of ['a', 'b']) {
      expect(named(`inner ${each}`)).toMatchObject({
        traceId: named(`outer ${each}`)?.traceId,
        parentSpanId: named(`outer ${each}`)?.spanId,
      });
    }
    expect(named('outer a')?.traceId).not.toBe(named('outer b')?.traceId);
    expect(named('outer a')?.parentSpanId).toBeUndefined();
  });

  test('go on with the trace of another process, and with none that is no trace', async () => {
    await begin();
    const told = { traceparent: '', traceId: '' };
    await span('there', {}, async () => {
      Object.assign(told, { traceparent: traceparent(), traceId: traceId() });
    });
    await span('here', { traceparent: told.traceparent }, nothing);
    for (const wrong of ['', 'x', `00-${'0'.repeat(32)}`, "00-'; drop table task"])
      await span('alone', { traceparent: wrong }, nothing);
    const spans = await sent();
    const [there, here, ...alone] = spans;
    expect(told.traceparent).toBe(`00-${there?.traceId}-${there?.spanId}-01`);
    expect(here).toMatchObject({ traceId: told.traceId, parentSpanId: there?.spanId });
    for (const each of alone) expect([each.parentSpanId, each.traceId === told.traceId]).toEqual([undefined, false]);
  });

  test('tell of what failed, and not of what only leads elsewhere', async () => {
    await begin();
    const failing = (broken: Error, isFailure?: (thrown: unknown) => boolean) =>
      span('x', isFailure ? { isFailure } : {}, () => Promise.reject(broken)).catch((thrown: unknown) => thrown);
    const thrown = new Error('it is broken');
    expect(await failing(thrown)).toBe(thrown);
    await failing(thrown, () => false);
    await span('x', {}, async (_, fail) => fail('it ended badly'));
    const failed = ['Error: it is broken', undefined, 'it ended badly'];
    expect((await sent()).map((each) => each.failed)).toEqual(failed);
  });

  test('of the share that is kept, whole traces', async () => {
    await begin({ ratio: 0 });
    const told: (string | null)[] = [];
    await span('outer', {}, () => span('inner', {}, async () => void told.push(traceparent())));
    // And whoever goes on with it elsewhere keeps to that.
    expect(told[0]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/);
    await span('elsewhere', { traceparent: told[0] ?? '' }, nothing);
    expect(await sent()).toEqual([]);
  });
});

describe('secrets', () => {
  test('are in no attribute, name or failure, whatever somebody puts there', async () => {
    const opened = 'the-very-own-hook-secret';
    const token = ['ghs', '0123456789abcdefABCDEF0123456789abcd'].join('_');
    const cookie = 'aB3dE5gH7jK9mN1pQ4sT6vX8zC0fG2hJ5lM7nP9rS1u';
    conceal(opened);
    await begin();
    const attributes = {
      url: 'https://bot:url-password@git.example/a?token=query-token&x=1',
      header: 'authorization: Bearer header-Token-1',
      cookie: `cookie: flywheel.session=${cookie}`,
      forge: `answered ${token}`,
      own: `with ${opened}`,
    };
    await span('x', { attributes }, async (set) => {
      set(attributes);
      throw new Error(Object.values(attributes).join(' '));
    }).catch(nothing);
    await sent();
    const all = collector.received.join('\n');
    expect(all).toContain('git.example');
    for (const secret of ['url-password', 'query-token', 'header-Token-1', cookie, token, opened])
      expect([secret, all.includes(secret)]).toEqual([secret, false]);
  });
});

describe('the collector', () => {
  test('is sent the headers that it knows its senders by', async () => {
    await begin({ headers: ['authorization=Bearer%20of-the-collector', 'x-tenant=us'] });
    await span('x', {}, nothing);
    await sent();
    expect(collector.headers[0]).toMatchObject({
      authorization: 'Bearer of-the-collector',
      'x-tenant': 'us',
      'content-type': 'application/json',
    });
  });

  test('one that is away is told of once, and holds nothing up', async () => {
    await begin({ url: 'http://127.0.0.1:1' });
    const startedMs = performance.now();
    for (let index = 0; index < 2_000; index += 1) await span('x', {}, nothing);
    expect(performance.now() - startedMs).toBeLessThan(5_000);
    await sent();
    expect(errors).toHaveLength(1);
    expect(collector.spans).toEqual([]);
  }, 30_000);
});

test('where nobody collects, nothing is made and nothing of OpenTelemetry or the metrics is loaded', () => {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context); } });
    const { span, startTracing, serveMetrics, traceparent, count } = await import('#lib/telemetry/index.ts');
    const settings = { OTEL_EXPORTER_OTLP_HEADERS: [], OTEL_TRACES_SAMPLER_ARG: 1 };
    const none = await startTracing(settings, 'x', console.error);
    await serveMetrics(undefined, console.error);
    count('leasesLost', {});
    const told = await span('x', {}, async (set) => { set({ a: 1 }); return traceparent(); });
    const of = () => loaded.filter((url) => /@opentelemetry|prom-client/.test(url)).length;
    const before = of();
    await none();
    const end = await startTracing({ ...settings, OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' }, 'x', () => {});
    console.log(JSON.stringify({ told, before, after: of() > 0 }));
    await end();
  `;
  const cwd = fileURLToPath(new URL('../..', import.meta.url));
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], {
    cwd,
    encoding: 'utf8',
  });
  expect([stderr, stdout.trim()]).toEqual(['', JSON.stringify({ told: null, before: 0, after: true })]);
});
