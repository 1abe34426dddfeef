import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { notFound } from '#lib/errors.ts';

export type GuidePage = {
  name: string;
  title: string;
  text: string;
  /** How large each picture is, by its link: what is still to come takes its place already. */
  sizes: ReadonlyMap<string, { width: number; height: number }>;
};
export type GuideGroup = { title: string; pages: { name: string; title: string }[] };

const folder = (...parts: string[]) => join(process.cwd(), 'docs', ...parts);
/** The page that lists the others, and is shown at /help itself. */
const map = 'README';

/** What is there is listed, and only what is listed is read. */
async function listed(kind: 'md' | 'png'): Promise<string[]> {
  const files = await readdir(kind === 'md' ? folder() : folder('images'));
  const ending = `.${kind}`;
  return files.filter((file) => file.endsWith(ending)).map((file) => file.slice(0, -ending.length));
}

export async function guideNames(): Promise<string[]> {
  return (await listed('md')).toSorted();
}

export async function guidePage(name: string = map): Promise<GuidePage> {
  if (!(await guideNames()).includes(name)) throw notFound('This page of the guide');
  const text = await readFile(folder(`${name}.md`), 'utf8');
  const title = /^# (.+)$/m.exec(text)?.[1] ?? name;
  return { name, title, text: text.replace(/^# .+\n/, ''), sizes: await sizesIn(text) };
}

async function sizesIn(text: string): Promise<GuidePage['sizes']> {
  const there = await listed('png');
  const links = [...text.matchAll(/\]\((images\/([\w-]+)\.png)\)/g)].filter(([, , name = '']) => there.includes(name));
  const sizes = links.map(async ([, link = '', name = '']) => {
    const png = await guideImage(`${name}.png`);
    // The first chunk of a PNG: https://www.w3.org/TR/png-3/#11IHDR
    return [link, { width: png.readUInt32BE(16), height: png.readUInt32BE(20) }] as const;
  });
  return new Map(await Promise.all(sizes));
}

export async function guideImage(file: string): Promise<Buffer<ArrayBuffer>> {
  const name = /^(.+)\.png$/.exec(file)?.[1] ?? '';
  if (!(await listed('png')).includes(name)) throw notFound('This picture of the guide');
  return readFile(folder('images', `${name}.png`));
}

/** The pages in the order and under the headings of docs/README.md. */
export async function guideMap(): Promise<GuideGroup[]> {
  const { text } = await guidePage();
  return text.split(/^## /m).flatMap((part) => {
    const pages = [...part.matchAll(/^- \[([^\]]+)\]\(([\w-]+)\.md\)/gm)];
    if (pages.length === 0) return [];
    const title = part.slice(0, part.indexOf('\n'));
    return [{ title, pages: pages.map(([, title = '', name = '']) => ({ name, title })) }];
  });
}

/** Where a link of a page in docs/ leads in the portal; null where it is to a file that the portal does not show. */
export function helpHref(href: string): string | null {
  if (/^(https:\/\/|#)/.test(href)) return href;
  if (/^images\/[\w-]+\.png$/.test(href)) return `/help/${href}`;
  const [, name, anchor = ''] = /^([\w-]+)\.md(#[\w-]+)?$/.exec(href) ?? [];
  if (name === undefined) return null;
  return `/help${name === map ? '' : `/${name}`}${anchor}`;
}
