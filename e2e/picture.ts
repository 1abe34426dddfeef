import { join } from 'node:path';
import type { Locator, Page } from '@playwright/test';
import sharp from 'sharp';
import { expect } from './fixtures.ts';

/*
 * The pictures of the guide. They are taken on the way of the walks, so that they show what there is:
 *
 *   UPDATE_SCREENSHOTS=1 npm test -- e2e
 *
 * At other times a walk looks whether the page still shows what its picture is there for.
 */

const folder = join(import.meta.dirname, '..', 'docs', 'images');
const width = 1280;
const bytesMost = 120 * 1024;

type Shown = {
  /** What the picture is there for. */
  shows: string[];
  /** What is waited for before it is taken, and not at other times: it takes a while, or comes and goes. */
  settled?: string[];
  height?: number;
};

/** Takes docs/images/NAME.png where that was asked for; else looks whether the page has what it shows. */
export async function picture(page: Page, name: string, { shows, settled = [], height = 800 }: Shown): Promise<void> {
  const visible = (text: string) => page.getByText(text).filter({ visible: true }).first();
  for (const text of shows) await expect(visible(text), `${name}.png shows “${text}”`).toBeVisible();
  if (process.env['UPDATE_SCREENSHOTS'] !== '1') return;
  if (settled.length > 0) await reloadUntil(page, () => settled.map(visible));
  const size = page.viewportSize();
  await page.setViewportSize({ width, height });
  await page.evaluate(() => scrollTo(0, 0));
  await page.mouse.move(0, 0);
  await page.evaluate(withoutChance);
  const taken = await page.screenshot({ animations: 'disabled', caret: 'hide' });
  if (size) await page.setViewportSize(size);
  const { size: bytes } = await sharp(taken)
    .png({ palette: true, colours: 128, effort: 10, compressionLevel: 9 })
    .toFile(join(folder, `${name}.png`));
  expect(bytes, `${name}.png is small`).toBeLessThanOrEqual(bytesMost);
}

async function reloadUntil(page: Page, wanted: () => Locator[]): Promise<void> {
  await expect(async () => {
    await page.reload();
    for (const each of wanted()) await expect(each).toBeVisible({ timeout: 2_000 });
  }).toPass({ timeout: 120_000, intervals: [3_000] });
}

/** Run in the page: times, ports, ids and keys are what they were in the last picture. */
function withoutChance(): void {
  for (const time of document.querySelectorAll('time')) time.textContent = 'just now';
  for (const date of document.querySelectorAll<HTMLInputElement>('input[type=date]')) date.value = '2026-12-01';
  const chance: [RegExp, string][] = [
    [/https?:\/\/(?:127\.0\.0\.1|localhost):\d+/g, 'https://flywheel.example.org'],
    [/[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}/g, '0190a1b2-0000-7000-8000-000000000000'],
    [/[\w+/]{43}=/g, 'bm8ga2V5IG9mIGFueWJvZHksIGFuZCBvZiBub2JvZHk='],
  ];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = texts.nextNode(); node; node = texts.nextNode())
    for (const [pattern, fixed] of chance) node.nodeValue = node.nodeValue?.replaceAll(pattern, fixed) ?? null;
}
