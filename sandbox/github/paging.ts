import type { Answer, Ask } from '#sandbox/stand-in/index.ts';
import type { World } from './world.ts';

interface Slice<T> {
  items: T[];
  headers: Record<string, string>;
}

/** One page of a bare list, with GitHub's Link header. */
export function paged<T>(world: World, ask: Ask, all: T[], show: (item: T) => unknown): Answer {
  const { items, headers } = slice(world, ask, all);
  return { status: 200, headers, body: items.map(show) };
}

/** One page of a list that GitHub wraps in an object with `total_count`. */
export function listed<T>(
  world: World,
  ask: Ask,
  name: string,
  all: T[],
  show: (item: T) => unknown,
  more: object = {},
): Answer {
  const { items, headers } = slice(world, ask, all);
  return { status: 200, headers, body: { total_count: all.length, ...more, [name]: items.map(show) } };
}

function slice<T>(world: World, ask: Ask, all: T[]): Slice<T> {
  const size = clamp(Number(ask.query.get('per_page') ?? 30), 1, 100, 30);
  const last = Math.max(1, Math.ceil(all.length / size));
  const page = clamp(Number(ask.query.get('page') ?? 1), 1, Number.MAX_SAFE_INTEGER, 1);
  const links: string[] = [];
  const link = (rel: string, to: number): void => {
    const query = new URLSearchParams(ask.query);
    query.set('page', String(to));
    links.push(`<${world.url}${ask.path}?${query.toString()}>; rel="${rel}"`);
  };
  if (page > 1) link('prev', Math.min(page - 1, last));
  if (page < last) link('next', page + 1);
  if (page < last) link('last', last);
  if (page > 1) link('first', 1);
  const items = all.slice((page - 1) * size, page * size);
  return { items, headers: links.length > 0 ? { link: links.join(', ') } : {} };
}

function clamp(value: number, low: number, high: number, otherwise: number): number {
  return Number.isInteger(value) ? Math.min(Math.max(value, low), high) : otherwise;
}
