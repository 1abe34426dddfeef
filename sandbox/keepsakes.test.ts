import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { Keepsakes } from '#sandbox/keepsakes.ts';

const folder = mkdtempSync(join(tmpdir(), 'flywheel-keepsakes-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('ports stay from start to start, unless somebody else has taken them', async () => {
  const port = await new Keepsakes(folder).port('web', 0);
  expect(await new Keepsakes(folder).port('web', 0)).toBe(port);
  const thief = createServer().listen(port, '127.0.0.1');
  await once(thief, 'listening');
  const other = await new Keepsakes(folder).port('web', 0);
  expect(other).not.toBe(port);
  thief.close();
  await once(thief, 'close');
  expect(await new Keepsakes(folder).port('web', 0)).toBe(other);
});

test('a secret is made once, is 32 bytes, and is for nobody else to read', () => {
  const secret = new Keepsakes(folder).secret('portal');
  expect(Buffer.from(secret, 'base64')).toHaveLength(32);
  expect(new Keepsakes(folder).secret('portal')).toBe(secret);
  expect(new Keepsakes(folder).secret('attic')).not.toBe(secret);
  expect(statSync(join(folder, 'secrets.json')).mode & 0o077).toBe(0);
});
