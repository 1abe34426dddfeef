import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import { held } from './held.ts';
import { count, observe, readAt } from './metrics.ts';
import { labelValues, metrics, type Metric } from './metric-list.ts';
import { allowanceIn, sawAllowance, sawForge, seenNow, tightest } from './seen.ts';
import { serveMetrics, type Served } from './serve-metrics.ts';

const all: Metric[] = Object.values(metrics);

describe('the list', () => {
  const cell = (text: string) => text.replaceAll('|', '\\|');
  const row = ({ name, type, labels, help }: Metric) =>
    `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(', ')} | ${cell(help)} |`;
  const tables = [
    '| metric | type | labels | what it tells |',
    '| --- | --- | --- | --- |',
    ...all.map(row),
    '',
    '| label | its values |',
    '| --- | --- |',
    ...Object.entries(labelValues).map(([label, values]) => `| \`${label}\` | ${cell(values)} |`),
  ].join('\n');
  /** Written as a formatter of Markdown leaves it: how wide a column is says nothing. */
  const plain = (text: string) =>
    text
      .split('\n')
      .map((line) =>
        line
          .replaceAll(/ *\| */g, '|')
          .replaceAll(/-{3,}/g, '---')
          .trim(),
      )
      .join('\n');

  test('is what docs/observability.md says', () => {
    const path = join(fileURLToPath(new URL('../..', import.meta.url)), 'docs/observability.md');
    const [begin, end] = ['<!-- metrics: checked by lib/telemetry/metrics.test.ts -->\n', '\n<!-- end of metrics -->'];
    if (process.env['UPDATE_GOLDEN'] && existsSync(path)) {
      const [before = '', rest = ''] = readFileSync(path, 'utf8').split(begin);
      writeFileSync(path, `${before}${begin}\n${tables}\n${end}${rest.split(end)[1] ?? ''}`);
    }
    const [, written = ''] = readFileSync(path, 'utf8').split(begin);
    expect(plain(written.split(end)[0] ?? '').trim()).toBe(plain(tables).trim());
  });

  test('has names and units as Prometheus wants them, each once', () => {
    expect(new Set(all.map(({ name }) => name)).size).toBe(all.length);
    for (const { name, type, help } of all) {
      expect(name).toMatch(/^(flywheel|process|nodejs)_[a-z0-9]+(_[a-z0-9]+)*$/);
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
      expect([name, type !== 'histogram' || name.endsWith('_seconds')]).toEqual([name, true]);
      expect([name, /milli|_ms\b|_minutes|_percent/.test(name)]).toEqual([name, false]);
      expect(help).toMatch(/^[A-Z].*\.$/);
    }
  });

  test('has no label that is a tenant, an enrollment, a repository or a person', () => {
    for (const { name, labels } of all)
      expect([name, labels.filter((label) => !(label in labelValues))]).toEqual([name, []]);
    expect(
      Object.keys(labelValues).filter((label) => /tenant|enrol|repo|user|person|owner|path|url|id$/.test(label)),
    ).toEqual([]);
  });
});

describe('serving', () => {
  let served: Served | undefined;
  afterEach(async () => {
    await served?.stop();
    served = undefined;
    held().readers.clear();
    held().seen.forges.clear();
  });
  const serve = async () => {
    served = await serveMetrics(0, (error) => {
      throw error;
    });
    return async () => (await fetch(`http://127.0.0.1:${served?.port}/metrics`)).text();
  };

  test('nothing is kept before, and no port serves nothing', async () => {
    expect(await serveMetrics(undefined, () => undefined)).toBeUndefined();
    count('leasesLost', {});
    const scrape = await serve();
    expect(await scrape()).toContain('\nflywheel_leases_lost_total 0\n');
    count('leasesLost', {});
    expect(await scrape()).toContain('\nflywheel_leases_lost_total 1\n');
  });

  test('every metric of the list is there from the first scrape on', async () => {
    const text = await (await serve())();
    for (const { name, type, help } of all) {
      expect(text).toContain(`# TYPE ${name} ${type}\n`);
      expect(text).toContain(`# HELP ${name} ${help}\n`);
    }
    for (const name of ['process_resident_memory_bytes', 'process_cpu_seconds_total', 'nodejs_heap_size_used_bytes'])
      expect(Number(new RegExp(`^${name} (.*)$`, 'm').exec(text)?.[1])).toBeGreaterThan(0);
    expect(text).toMatch(/^nodejs_eventloop_lag_p99_seconds \d/m);
  });

  test('what is counted, measured and read is what is scraped', async () => {
    const scrape = await serve();
    count('deliveries', { forge: 'github', outcome: 'accepted' }, 3);
    observe('passSeconds', { task: 'enrollment', outcome: 'done' }, 0.2);
    readAt('queueDue', () => [{ labels: { task: 'enrollment' }, value: 7 }]);
    const text = await scrape();
    expect(text).toContain('flywheel_deliveries_total{forge="github",outcome="accepted"} 3\n');
    expect(text).toContain('flywheel_pass_duration_seconds_bucket{le="0.1",task="enrollment",outcome="done"} 0\n');
    expect(text).toContain('flywheel_pass_duration_seconds_bucket{le="0.5",task="enrollment",outcome="done"} 1\n');
    expect(text).toContain('flywheel_queue_due_keys{task="enrollment"} 7\n');
  });

  test('what cannot be read is not told as it was before, and keeps nothing else back', async () => {
    const scrape = await serve();
    readAt('queueDue', () => [{ labels: { task: 'enrollment' }, value: 7 }]);
    expect(await scrape()).toContain('flywheel_queue_due_keys{');
    readAt('queueDue', () => Promise.reject(new Error('the database is away')));
    const text = await scrape();
    expect(text).not.toContain('flywheel_queue_due_keys{');
    expect(text).not.toMatch(/^flywheel_webhook_oldest_unsent_age_seconds /m);
    expect(text).toContain('process_resident_memory_bytes ');
    readAt('webhookAge', () => [{ labels: {}, value: 3 }]);
    expect(await scrape()).toContain('flywheel_webhook_oldest_unsent_age_seconds 3\n');
  });

  test('nothing else is served', async () => {
    await serve();
    const at = (path: string, method = 'GET') => fetch(`http://127.0.0.1:${served?.port}${path}`, { method });
    expect([(await at('/')).status, (await at('/metrics', 'POST')).status, (await at('/metrics/x')).status]).toEqual([
      404, 404, 404,
    ]);
    expect((await at('/metrics?name=x')).status).toBe(200);
  });

  test('a port that is taken is told, and no reason to stop', async () => {
    await serve();
    const errors: unknown[] = [];
    expect(await serveMetrics(served?.port, (error) => errors.push(error))).toBeUndefined();
    expect(String(errors[0])).toContain('EADDRINUSE');
    count('leasesLost', {});
    expect(await (await fetch(`http://127.0.0.1:${served?.port}/metrics`)).text()).toContain('_lost_total 1\n');
  });

  test('of a forge’s askers, the one with the least share left is told of, until its window is over', async () => {
    const scrape = await serve();
    sawForge('github', { failure: null });
    const resetsAt = Date.now() + 60_000;
    sawAllowance('github', 'Bearer anonymous', { remaining: 50, limit: 60, resetsAt });
    sawAllowance('github', 'Bearer secret-token', { remaining: 100, limit: 5000, resetsAt });
    sawAllowance('github', 'Bearer ended', { remaining: 0, limit: 5000, resetsAt: Date.now() - 1 });
    const text = await scrape();
    expect(text).toContain('flywheel_forge_rate_limit_remaining{connection="github"} 100\n');
    expect(text).toContain('flywheel_forge_rate_limit{connection="github"} 5000\n');
    expect(JSON.stringify([seenNow(), [...(held().seen.forges.get('github')?.allowances ?? [])]])).not.toContain(
      'secret',
    );
    expect(tightest('github', resetsAt)).toBeNull();
  });
});

describe('what a forge says of its limits', () => {
  test.each([
    [
      'GitHub',
      { 'x-ratelimit-limit': '5000', 'x-ratelimit-remaining': '4999', 'x-ratelimit-reset': '1764000000' },
      4999,
    ],
    ['GitLab', { 'ratelimit-limit': '2000', 'ratelimit-remaining': '3', 'ratelimit-reset': '1764000000' }, 3],
  ])('%s', (_, headers, remaining) => {
    expect(allowanceIn(new Headers(headers))).toMatchObject({ remaining, resetsAt: 1_764_000_000_000 });
  });

  test.each([
    {},
    { 'x-ratelimit-limit': '5000' },
    { 'x-ratelimit-limit': '0', 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1' },
    { 'x-ratelimit-limit': 'many', 'x-ratelimit-remaining': '1e9', 'x-ratelimit-reset': 'soon' },
  ])('%j is none', (headers) => expect(allowanceIn(new Headers(headers as Record<string, string>))).toBeNull());
});
