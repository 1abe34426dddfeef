import type { Answer, Ask } from '#sandbox/stand-in/index.ts';
import type { World } from './world.ts';

/** Forgejo's MAX_RESPONSE_ITEMS and DEFAULT_PAGING_NUM. */
const most = 50;
const usual = 30;

/** One page of a bare list, with how many there are in all. Where there is but one page, no link is given. */
export function paged<T>(world: World, ask: Ask, all: T[], show: (item: T) => unknown): Answer {
  const size = Math.min(positive(ask.query.get('limit'), usual), most);
  const page = positive(ask.query.get('page'), 1);
  const last = Math.max(1, Math.ceil(all.length / size));
  const links: string[] = [];
  const link = (rel: string, to: number): void => {
    const query = new URLSearchParams(ask.query);
    query.set('page', String(to));
    links.push(`<${world.url}${ask.path}?${query.toString()}>; rel="${rel}"`);
  };
  if (page < last) link('next', page + 1);
  if (page < last) link('last', last);
  if (page > 1) link('first', 1);
  if (page > 1) link('prev', page - 1);
  const headers: Record<string, string> = { 'x-total-count': String(all.length) };
  if (links.length > 0) headers['link'] = links.join(',');
  return { status: 200, headers, body: all.slice((page - 1) * size, page * size).map(show) };
}

function positive(text: string | null, otherwise: number): number {
  const value = Number(text ?? otherwise);
  return Number.isInteger(value) && value > 0 ? value : otherwise;
}
