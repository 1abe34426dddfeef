import { existsSync, globSync, readFileSync, statSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { renderToStaticMarkup } from 'react-dom/server';
import { describe, expect, test } from 'vitest';
import { find } from '#lib/api/table.ts';
import { commands } from '#lib/cli/index.ts';
import { findingKinds } from '#lib/doctor/facts.ts';
import { errorCodes } from '#lib/errors.ts';
import { guideImage, guideMap, guideNames, guidePage, helpHref } from '#lib/guide/index.ts';
import { reasons } from '#lib/model/index.ts';
import { apiScopes } from '#lib/tenant/index.ts';
import { GuideText } from '#components/guide/guide-text.tsx';

/* The guide, held to what there is: its links, its anchors, and a paragraph for each word that the portal says. */

const root = fileURLToPath(new URL('../../..', import.meta.url));
const read = (path: string) => readFileSync(join(root, path), 'utf8');

const shown = (text: string, hrefOf: (href: string) => string | null = (href) => href) =>
  renderToStaticMarkup(<GuideText text={text} hrefOf={hrefOf} />);
const attributes = (html: string, name: string) =>
  [...html.matchAll(new RegExp(` ${name}="([^"]*)"`, 'g'))].map(([, value = '']) => value);
const headings = (html: string, level: string) =>
  [...html.matchAll(new RegExp(`<${level}[^>]*>(.*?)</${level}>`, 'gs'))].map(([, text = '']) =>
    text.replaceAll(/<[^>]+>/g, ''),
  );

const names = await guideNames();
const pages = names.map((name) => `docs/${name}.md`);
/** What people read beside the pages of the guide. */
const readByPeople = [...pages, 'README.md'];

describe('links', () => {
  /** The ids of a page's headings, as a forge makes them too. */
  const anchors = new Map(readByPeople.map((path) => [path, attributes(shown(read(path)), 'id')]));

  test.each(readByPeople)('%s: every one leads to what is there', (path) => {
    const html = shown(read(path));
    const links = [...attributes(html, 'href'), ...attributes(html, 'src')];
    const broken = links.filter((link) => {
      if (link.startsWith('https://')) return false;
      const [file = '', anchor] = link.split('#');
      const to = file === '' ? path : normalize(join(path, '..', file));
      if (!existsSync(join(root, to))) return true;
      return anchor !== undefined && !anchors.get(to)?.includes(anchor);
    });
    expect(broken).toEqual([]);
    // Two of a name would share an anchor.
    expect(anchors.get(path)?.filter((id, at, all) => all.indexOf(id) !== at)).toEqual([]);
  });

  test('are found out where they lead nowhere', () => {
    expect(anchors.get('docs/troubleshoot.md')).toContain('wrong-label');
    expect(anchors.get('docs/troubleshoot.md')).not.toContain('wrong-labels');
    expect(attributes(shown('# A\n\n[x](y.md#z)'), 'href')).toEqual(['y.md#z']);
  });

  test.each([
    ['troubleshoot.md#away', '/help/troubleshoot#away'],
    ['README.md', '/help'],
    ['#away', '#away'],
    ['images/plan.png', '/help/images/plan.png'],
    ['https://focus.finops.org', 'https://focus.finops.org'],
    ['../deploy/cluster/portal-rights.yaml', null],
    ['decisions/2026-11-25-teams.md', null],
    ['javascript:alert(1)', null],
    ['http://example.org', null],
    ['//example.org/x.md', null],
    ['../../x.md', null],
  ])('%s is %s in the portal', (link, there) => expect(helpHref(link)).toBe(there));

  test('in the portal each is to a page of the guide, or leaves it', async () => {
    for (const name of names) {
      const { text } = await guidePage(name);
      const links = attributes(shown(text, helpHref), 'href').filter((link) => link.startsWith('/'));
      const broken = links.filter((link) => {
        const [page = '', anchor] = link.replace(/^\/help\/?/, '').split('#');
        const there = anchors.get(`docs/${page === '' ? 'README' : page}.md`);
        return !there || (anchor !== undefined && !there.includes(anchor));
      });
      expect({ name, broken }).toEqual({ name, broken: [] });
    }
  });

  test('the map lists every page once', async () => {
    const listed = (await guideMap()).flatMap((group) => group.pages.map(({ name }) => name));
    // A new page of docs/ gets its line in docs/README.md.
    expect(listed.toSorted()).toEqual(names.filter((name) => name !== 'README'));
  });
});

describe('what is shown', () => {
  test('is never HTML of the text, and no address that runs', () => {
    const html = shown(
      '<script>alert(1)</script>\n\na <b onclick="x()">b</b> [c](javascript:alert(1)) ![d](data:text/html,x)\n\n<img src=x onerror=y>',
      helpHref,
    );
    expect(html).not.toMatch(/<(script|b|iframe)|onerror|onclick|javascript:|data:/);
    expect(html).toContain('c');
  });

  test('each page of the guide is without HTML, which would be left out', () => {
    const withHtml = pages.filter((path) =>
      /^<[a-z!/]|(?<!`)<\/?[a-z]+>(?!`)/im.test(read(path).replaceAll(/```[^]*?```|`[^`\n]*`|<!--.*?-->/g, '')),
    );
    expect(withHtml).toEqual([]);
  });

  test.each(['../../package', '..%2fREADME', 'decisions/2026-11-25-teams', '', 'nothing', '__proto__'])(
    'no file by the name %s',
    async (name) => {
      await expect(guidePage(name)).rejects.toMatchObject({ code: 'not_found' });
      await expect(guideImage(`${name}.png`)).rejects.toMatchObject({ code: 'not_found' });
    },
  );
});

describe('words of the portal', () => {
  /** What is written on screens, as it stands in the source: with line breaks where the source has them. */
  const screens = globSync('{app,components,lib}/**/*.{ts,tsx}', { cwd: root })
    .filter((path) => !/\.test\.tsx?$|^lib\/db\/generated/.test(path))
    .map((path) => read(path).replaceAll(/\s+/g, ' ').replaceAll('’', "'"))
    .join('\n');

  /** One word alone is a whole text, such as a page's name; of several their order tells enough. */
  const isOnScreen = (words: string) =>
    words.includes(' ') ? screens.includes(words) : new RegExp(`['">] ?${words} ?['"<{]`).test(screens);

  /** What stands in italics is a page, a button or a field, by its very words; _A, B_ is B on the page A, and _A … B_ has a figure between. */
  const unknown = (html: string) =>
    headings(html, 'em')
      .flatMap((words) => words.replaceAll(/&#x27;|’/g, "'").split(/, | ?… ?/))
      .filter((words) => !isOnScreen(words));

  test.each(pages)('%s: what is in italics stands on a screen', (path) => {
    expect(unknown(shown(read(path)))).toEqual([]);
  });

  test('a word that stands on none is found out', () => {
    expect(unknown(shown('Press _Apply … changes_ on _Pools_, or _Applied … everything at all_.'))).toEqual([
      'everything at all',
    ]);
  });
});

describe('commands, files and addresses that are named', () => {
  const texts = new Map(readByPeople.map((path) => [path, read(path)]));
  const each = (pattern: RegExp) =>
    [...texts].flatMap(([path, text]) => [...text.matchAll(pattern)].map((match) => ({ path, match })));

  test('every script of npm is there', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
    const named = each(/\bnpm (?:run (?:-s )?)?([a-z][\w:]*)/g).map(({ match }) => match[1] ?? '');
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !(name in scripts) && !['install', 'ci'].includes(name))).toEqual([]);
  });

  test('every command of flywheel is one that it has', () => {
    const usage = read('lib/config/command.ts');
    const isKnown = ([name = '', word = '']: string[]) =>
      name === 'config' ? usage.includes(`flywheel config ${word}`) : commands.some((command) => command.name === name);
    const named = each(/npm run -s flywheel -- ([a-z]+(?: [a-z]+)?)/g).map(({ match }) => (match[1] ?? '').split(' '));
    expect(named.length).toBeGreaterThan(3);
    expect(named.filter((words) => !isKnown(words))).toEqual([]);
    expect(isKnown(['config', 'mend'])).toBe(false);
    expect(isKnown(['mend'])).toBe(false);
  });

  test('every file of the repository is there', () => {
    const named = each(/(?<![\w./-])((?:lib|app|sandbox|prisma|components|e2e|docs|deploy)\/[\w./*-]+\.\w+)/g);
    const absent = named.filter(({ match }) => globSync(match[1] ?? '', { cwd: root }).length === 0);
    expect(absent.map(({ path, match }) => `${path}: ${match[1]}`)).toEqual([]);
  });

  test('every address of the API is one that it has', () => {
    const calls = each(/curl((?:[^\n]|\\\n)*?)"\$PORTAL(\/api\/v1[^"?]*)/g).map(({ match }) => ({
      method: /-X (\w+)/.exec(match[1] ?? '')?.[1] ?? 'GET',
      path: (match[2] ?? '').replace('/api/v1', '').replaceAll(/\$\w+/g, '00000000-0000-4000-8000-000000000000'),
    }));
    expect(calls.length).toBeGreaterThan(5);
    const unknown = calls.filter(({ method, path }) => {
      const found = find(method, path);
      return !found || 'allowed' in found;
    });
    expect(unknown).toEqual([]);
  });

  test('every code of a problem and every scope of a token has its line', () => {
    const table = [...read('docs/api.md').matchAll(/^\| `(\w+)`\s+\| (\d*)/gm)].map(
      ([, word, status]) => `${word} ${status}`,
    );
    const codes = Object.entries(errorCodes).map(([code, status]) => `${code} ${status}`);
    const scopes = apiScopes.map((scope) => `${scope} `);
    expect(table.toSorted()).toEqual([...codes, ...scopes].toSorted());
  });
});

describe('pictures', () => {
  const files = globSync('docs/images/*', { cwd: root });
  const pageTexts = readByPeople.map(read).join('\n');
  const walks = globSync('e2e/*.spec.ts', { cwd: root }).map(read).join('\n');

  test('each is in a text, taken by a walk, and small', () => {
    expect(files.length).toBeGreaterThanOrEqual(8);
    for (const file of files) {
      const name = /images\/([\w-]+)\.png$/.exec(file)?.[1] ?? file;
      expect(pageTexts).toContain(`images/${name}.png)`);
      expect(walks).toMatch(new RegExp(`picture\\(\\w+, '${name}'`));
      expect(statSync(join(root, file)).size).toBeLessThanOrEqual(120 * 1024);
    }
  });
});

describe('troubleshooting', () => {
  const text = read('docs/troubleshoot.md');
  const [, words = '', found = ''] = /^(.*)^## What the doctor finds$(.*)$/ms.exec(text) ?? [];

  test('has a paragraph for each reason, and for none that is not given', () => {
    expect(headings(shown(words), 'h3').toSorted()).toEqual([...reasons].toSorted());
  });

  test('has a paragraph for each kind of finding, and for none that is not found', () => {
    expect(headings(shown(found), 'h3').toSorted()).toEqual([...findingKinds].toSorted());
  });

  test('says of each what the portal does by itself, and what a person does', () => {
    const parts = text.split(/^### /m).slice(1);
    const without = parts.filter(
      (part) => !/^- \*\*By itself:\*\* .+$/m.test(part) || !/^- \*\*You:\*\* .+$/m.test(part),
    );
    expect(without.map((part) => part.slice(0, part.indexOf('\n')))).toEqual([]);
  });

  /** The types let no other reason be given than those of the list; that each of the list is given somewhere, only the source says. */
  test('each reason and each kind is given somewhere in the source', () => {
    const sources = globSync('lib/{enrollment,forge,model,doctor}/**/*.ts', { cwd: root })
      .filter((path) => !/\.test\.ts$|contract|lib\/model\/reason\.ts|lib\/doctor\/facts\.ts/.test(path))
      .map(read)
      .join('\n');
    const given = (word: string) => sources.includes(`'${word}'`);
    expect([...reasons, ...findingKinds].filter((word) => !given(word))).toEqual([]);
    expect(given('NeverSaid')).toBe(false);
  });
});
