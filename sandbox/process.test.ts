import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { freePort, isAlive, logTail, startChild } from '#sandbox/process.ts';

const folder = mkdtempSync(join(tmpdir(), 'flywheel-process-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a child', () => {
  test('is stopped with its own children, even one that does not listen', async () => {
    const logFile = join(folder, 'stubborn.log');
    // The inner shell says its number after it has begun to ignore the signal.
    const script = 'trap "" TERM; sh -c \'trap "" TERM; echo $$; sleep 60\' & wait; sleep 60';
    const child = startChild({ command: 'sh', args: ['-c', script], logFile, stopTimeoutMs: 300 });
    await expect.poll(() => logTail(logFile)).toMatch(/^\d+$/);
    await child.stop();
    expect(await child.exited).toBe('signal SIGKILL');
    await expect.poll(() => isAlive(Number(logTail(logFile)))).toBe(false);
  });

  test('that cannot start says why', async () => {
    const child = startChild({ command: '/no/such/program', args: [], logFile: join(folder, 'none.log') });
    expect(await child.exited).toContain('ENOENT');
    await child.stop();
  });

  test('does not outlive a parent that is killed', async () => {
    const program = `
      import { startChild } from '#sandbox/process.ts';
      const child = startChild({ command: 'sleep', args: ['60'], logFile: ${JSON.stringify(join(folder, 'sleep.log'))} });
      console.log(child.pid);
      setInterval(() => {}, 1000);
    `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [line] = (await once(parent.stdout, 'data')) as [Buffer];
    const pid = Number(line);
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await expect.poll(() => isAlive(pid), { timeout: 5000 }).toBe(false);
  });
});

test('a port in use is not the one that is given', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  expect(await freePort(port)).not.toBe(port);
  server.close();
  await once(server, 'close');
  expect(await freePort(port)).toBe(port);
});
