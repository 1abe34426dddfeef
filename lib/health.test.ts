import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Probes, Turns, workerSigns, type Signs } from './health.ts';

const well: Signs = { alive: () => true, notReady: () => Promise.resolve(null) };

/** What a process with these probes answers to one request; 404 is somebody else's answer. */
async function asked(probes: Probes, path: string, method = 'GET'): Promise<[number, string]> {
  const server = createServer((request, response) => {
    if (!probes.answers(request, response)) response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const answer = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`, { method });
  const text = await answer.text();
  server.close();
  return [answer.status, text];
}

describe('the probes', () => {
  test('say that all is well, and are asked in two ways alone', async () => {
    const probes = new Probes(well);
    expect(await asked(probes, '/api/healthz')).toEqual([200, 'ok\n']);
    expect(await asked(probes, '/api/readyz')).toEqual([200, 'ok\n']);
    expect(await asked(probes, '/api/readyz', 'HEAD')).toEqual([200, '']);
    expect(await asked(probes, '/api/readyz', 'POST')).toEqual([404, '']);
    expect(await asked(probes, '/api/readyz/more')).toEqual([404, '']);
  });

  test('who cannot work is alive all the same, and says why', async () => {
    const probes = new Probes({ ...well, notReady: () => Promise.resolve('migrations are missing') });
    expect(await asked(probes, '/api/healthz')).toEqual([200, 'ok\n']);
    expect(await asked(probes, '/api/readyz')).toEqual([503, 'migrations are missing\n']);
  });

  test('who is told to stop takes nothing new, whatever else is well', async () => {
    const probes = new Probes(well);
    probes.drain();
    expect(await asked(probes, '/api/readyz')).toEqual([503, 'draining\n']);
    expect(await asked(probes, '/api/healthz')).toEqual([200, 'ok\n']);
  });

  test('a look that fails says nothing of why', async () => {
    const probes = new Probes({ ...well, notReady: () => Promise.reject(new Error('password=canary')) });
    expect(await asked(probes, '/api/readyz')).toEqual([503, 'not known\n']);
  });
});

describe('a worker', () => {
  const answers = { problem: () => Promise.resolve(null) };
  const away = { problem: () => Promise.resolve('the database does not answer') };

  test('lives as long as each of its loops comes round', async () => {
    let nowMs = 0;
    const turns = new Turns(() => nowMs);
    const [tasks, webhooks] = [{}, {}];
    const { alive } = workerSigns(turns, answers);
    // It has begun none yet.
    expect(await alive()).toBe(true);
    turns.turned(tasks);
    turns.turned(webhooks);
    nowMs = 29_999;
    expect(await alive()).toBe(true);
    turns.turned(tasks);
    nowMs = 30_000;
    expect(await alive()).toBe(false);
    turns.turned(webhooks);
    expect(await alive()).toBe(true);
  });

  test('that waits for a database which is away would not be healed by a restart', async () => {
    let nowMs = 0;
    const turns = new Turns(() => nowMs);
    turns.turned({});
    nowMs = 60_000;
    expect(await workerSigns(turns, away).alive()).toBe(true);
    expect(await workerSigns(turns, answers).alive()).toBe(false);
    expect(await workerSigns(turns, away).notReady()).toBe('the database does not answer');
  });
});
