import AxeBuilder from '@axe-core/playwright';
import { expect, test as base, type Browser, type Page } from '@playwright/test';
import { giteaPassword } from '#sandbox/gitea.ts';
import { Keepsakes, type Address } from '#sandbox/keepsakes.ts';

/** Where the sandbox's parts are, from its own keeping. */
export function sandbox(): Address {
  const dataDir = process.env['SANDBOX_DATA_DIR'];
  const address = dataDir && new Keepsakes(dataDir).address();
  if (!address) throw new Error('the sandbox is not running');
  return address;
}

export type Person = 'JessSullivan' | 'ada-tinyland' | 'sam-tinyland' | 'mallory' | 'olive-operator';
export type ForgeName = 'GitHub' | 'GitLab' | 'Forgejo' | 'Gitea';

type Fixtures = {
  /** A browser of its own in which this person is signed in, through the forge's own pages. */
  as: (login: Person, forge?: ForgeName) => Promise<Page>;
};

/** Whatever the browser complains of fails the test, in every page that a test opens. */
export function failOnComplaints(page: Page, complaints: string[]): void {
  page.on('console', (message) => {
    if (message.type() === 'error' && !isExpected(message.text())) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
}

/** A page that is told to be absent answers 404, which the browser logs by itself. */
function isExpected(text: string): boolean {
  return /status of 404/.test(text);
}

export const test = base.extend<Fixtures>({
  as: async ({ browser, baseURL }, use) => {
    const pages: Page[] = [];
    const complaints: string[] = [];
    await use(async (login, forge = 'GitHub') => {
      const page = await signedIn(browser, baseURL ?? '', { login, forge }, complaints);
      pages.push(page);
      return page;
    });
    await Promise.all(pages.map((page) => page.context().close()));
    expect(complaints, 'console errors').toEqual([]);
  },
});

type Account = { login: Person; forge: ForgeName };

async function signedIn(
  browser: Browser,
  baseURL: string,
  { login, forge }: Account,
  complaints: string[],
): Promise<Page> {
  const context = await browser.newContext({ baseURL });
  const page = await context.newPage();
  await page.goto('/sign-in?next=/account');
  await page.getByRole('button', { name: `Sign in with ${forge}`, exact: true }).click();
  if (forge === 'Gitea') await signInAtGitea(page, login);
  else await page.getByRole('button', { name: new RegExp(login) }).click();
  await page.waitForURL(`${baseURL}/account`);
  // From here on: the forges' own pages are not ours to hold to anything.
  failOnComplaints(page, complaints);
  return page;
}

/** Gitea's own pages: name and password, then the question whether the portal may know who one is. */
async function signInAtGitea(page: Page, login: Person): Promise<void> {
  await page.getByLabel('Username or Email Address').fill(login);
  await page.getByLabel('Password').fill(giteaPassword(login));
  await page.getByRole('button', { name: 'Sign In' }).click();
  const grant = page.getByRole('button', { name: 'Authorize Application' });
  await grant.or(page.getByRole('heading', { name: 'Forge accounts' })).waitFor();
  // Whoever has granted it before is sent on at once.
  if (await grant.isVisible()) await grant.click();
}

/** What axe finds against WCAG 2.2 A and AA, each with the elements that it is about. */
export async function violationsOf(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa'])
    .analyze();
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' ')}`);
}

/** No violation that axe can find. */
export async function expectAccessible(page: Page): Promise<void> {
  expect(await violationsOf(page)).toEqual([]);
}

export { expect };
