import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import type { Page } from '@playwright/test';
import { expect, expectAccessible, test } from './fixtures.ts';

/* A terminal signs in by the page that its person types its code into. What it does then is in lib/cli/walk.cluster.test.ts. */

const root = join(import.meta.dirname, '..');
let folder: string;
test.beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'flywheel-cli-'))));
test.afterAll(() => rmSync(folder, { recursive: true, force: true }));

function flywheel(...args: string[]): ChildProcessWithoutNullStreams {
  const env = { ...process.env, XDG_CONFIG_HOME: folder };
  return spawn(process.execPath, [join(root, 'lib/cli.ts'), ...args], { env, cwd: folder });
}

type Ended = { code: number | null; out: string; err: string };

async function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const [[code], out, err] = await Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]);
  return { code: code as number | null, out, err };
}

/** A login that waits, and the code that it shows. */
async function begun(url: string, name: string): Promise<{ code: string; end: Promise<number | null> }> {
  const child = flywheel('login', '--url', url, '--name', name);
  const end = once(child, 'exit').then(([code]) => code as number | null);
  let said = '';
  const code = await new Promise<string>((resolve, reject) => {
    child.stderr.on('data', (part: Buffer) => {
      said += part.toString();
      const shown = /and type {2}([A-Z-]{9})/.exec(said)?.[1];
      if (shown !== undefined) resolve(shown);
    });
    void end.then(() => reject(new Error(`it ended: ${said}`)));
  });
  return { code, end };
}

async function show(page: Page, code: string): Promise<void> {
  await page.goto('/device');
  await page.getByLabel('Code').fill(code);
  await page.getByRole('button', { name: 'Show what asks' }).click();
}

test('a terminal is signed in by the code that its person types, and signs out', async ({ as, baseURL }) => {
  const url = baseURL ?? '';
  const page = await as('ada-tinyland');

  await test.step('a code that nobody shows', async () => {
    await show(page, 'BBBB-BBBB');
    await expect(page.getByText('No terminal waits with this code', { exact: false })).toBeVisible();
    await expect(page.getByLabel('Code')).toHaveValue('BBBB-BBBB');
    await expect(page.getByLabel('Code')).toBeFocused();
    await expectAccessible(page);
  });

  await test.step('denied', async () => {
    const { code, end } = await begun(url, 'not mine');
    await show(page, code);
    await page.getByRole('button', { name: 'Deny' }).click();
    await expect(page.getByText('Denied. It was given nothing.')).toBeVisible();
    await expectAccessible(page);
    expect(await end).toBe(1);
    expect((await ended(flywheel('get', 'tenants', '--url', url))).code).toBe(5);
  });

  await test.step('approved, by who typed it and nobody else', async () => {
    const { code, end } = await begun(url, 'laptop of ada');
    await show(page, code.toLowerCase());
    await expect(page.getByText('laptop of ada').first()).toBeVisible();
    await expect(page.getByText('apply plans, withdrawals among them')).toBeVisible();
    const stranger = await as('mallory');
    expect((await stranger.goto(new URL(page.url()).pathname))?.status()).toBe(404);
    await page.getByRole('button', { name: 'Approve' }).click();
    await expect(page.getByText('Approved. Go back to the terminal', { exact: false })).toBeVisible();
    expect(await end).toBe(0);
  });

  await test.step('acts as its person, and no more after it is signed out', async () => {
    const { code, out } = await ended(flywheel('get', 'tenants'));
    expect([code, out]).toEqual([0, expect.stringContaining('tinyland-inc')]);
    expect((await ended(flywheel('logout'))).code).toBe(0);
    const after = await ended(flywheel('get', 'tenants', '--url', url));
    expect([after.code, after.out]).toEqual([5, '']);
  });
});
