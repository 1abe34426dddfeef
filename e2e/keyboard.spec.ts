import type { Locator, Page } from '@playwright/test';
import { expect, test } from './fixtures.ts';

const tabsMost = 80;

/** Goes to a control as somebody without a mouse does, and sees where the focus is. */
async function tabTo(page: Page, control: Locator): Promise<void> {
  await expect(control).toBeVisible();
  for (let tabs = 0; tabs < tabsMost; tabs += 1) {
    if (await control.evaluate((element) => element === document.activeElement)) {
      const seen = await control.evaluate((element) => {
        const style = getComputedStyle(element);
        return style.outlineStyle !== 'none' || style.boxShadow !== 'none';
      });
      expect(seen, 'the focus can be seen').toBe(true);
      return;
    }
    await page.keyboard.press('Tab');
  }
  throw new Error(`not reached by ${tabsMost} tabs: ${control.toString()}`);
}

async function press(page: Page, control: Locator, key = 'Enter'): Promise<void> {
  await tabTo(page, control);
  await page.keyboard.press(key);
}

test('the wizard is walked to the plan and back out of it with the keyboard alone', async ({ as }) => {
  test.setTimeout(120_000);
  const page = await as('JessSullivan');
  await page.goto('/enroll');
  const row = page.getByRole('listitem').filter({ has: page.getByText('JessSullivan/cmux', { exact: true }) });
  await press(page, row.getByRole('link', { name: 'Enroll' }));
  await page.waitForURL('**/enroll/tenant?**');
  await press(page, page.getByRole('button', { name: 'Continue to pools' }));
  await page.waitForURL('**/pools');

  const docker = page.getByRole('group', { name: 'docker', exact: true });
  await press(page, docker.getByRole('checkbox'), 'Space');
  await tabTo(page, docker.getByLabel('At most'));
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('9999');
  await press(page, page.getByRole('button', { name: 'Continue to caches' }));
  // The browser or the server says what does not fit; either way we are still here, at that field, with what was typed.
  await expect(docker.getByLabel('At most')).toBeFocused();
  await expect(docker.getByLabel('At most')).toHaveValue('9999');
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('40');
  await page.keyboard.press('Enter');
  await expect(page.getByText('the quota holds 8 at most')).toBeVisible();
  await expect(docker.getByLabel('At most')).toBeFocused();
  await page.keyboard.press('ControlOrMeta+a');
  await page.keyboard.type('2');
  await page.keyboard.press('Enter');
  await page.waitForURL('**/planes');

  await press(page, page.getByRole('button', { name: 'Make the plan' }));
  await page.waitForURL('**/plan?plan=*');
  await expect(page.getByRole('heading', { name: /plan to enroll/i })).toBeVisible();
  await press(page, page.getByRole('button', { name: 'Discard this draft' }));
  await page.waitForURL((url) => !url.pathname.includes('/enroll/'));
});

test('the menu of a phone closes when it has led to a page', async ({ as }) => {
  const page = await as('ada-tinyland');
  await page.setViewportSize({ width: 390, height: 844 });
  await page.goto('/t/tinyland-inc');
  const quota = page.getByRole('link', { name: 'Quota', exact: true });
  await expect(quota).toBeHidden();
  await press(page, page.locator('summary').filter({ hasText: 'Menu' }));
  await press(page, quota);
  await page.waitForURL('**/quota');
  await expect(page.getByRole('heading', { name: 'Quota', level: 1 })).toBeVisible();
  await expect(quota).toBeHidden();
});
