import type { Answer, Ask } from '#sandbox/stand-in/index.ts';
import { failure } from './access.ts';
import type { World } from './world.ts';

/** Above this many, GitLab counts no more and leaves the totals out. */
const countedMax = 10_000;
/** Further in, a list must be asked for by keyset. */
const offsetMax = 50_000;

/** One page of a list, with GitLab's headers; by keyset where `id` order and `pagination=keyset` are asked for. */
export function paged<T extends { id: number }>(world: World, ask: Ask, all: T[], show: (item: T) => unknown): Answer {
  const size = Math.min(whole(ask.query.get('per_page'), 20), 100);
  if (ask.query.get('pagination') === 'keyset') return keyset(world, ask, all, size, show);
  const page = whole(ask.query.get('page'), 1);
  if ((page - 1) * size > offsetMax)
    return failure(405, `Offset pagination has a maximum allowed offset of ${offsetMax} for requests.`);
  const last = Math.max(1, Math.ceil(all.length / size));
  const link = (rel: string, to: number) =>
    `<${linkTo(world, ask, { page: String(to), per_page: String(size) })}>; rel="${rel}"`;
  const links = [
    ...(page > 1 ? [link('prev', page - 1)] : []),
    ...(page < last ? [link('next', page + 1)] : []),
    link('first', 1),
    ...(all.length <= countedMax ? [link('last', last)] : []),
  ];
  const headers: Record<string, string> = {
    link: links.join(', '),
    'x-page': String(page),
    'x-per-page': String(size),
    'x-prev-page': page > 1 ? String(page - 1) : '',
    'x-next-page': page < last ? String(page + 1) : '',
  };
  if (all.length <= countedMax) {
    headers['x-total'] = String(all.length);
    headers['x-total-pages'] = String(last);
  }
  return { status: 200, headers, body: all.slice((page - 1) * size, page * size).map(show) };
}

function keyset<T extends { id: number }>(
  world: World,
  ask: Ask,
  all: T[],
  size: number,
  show: (item: T) => unknown,
): Answer {
  const descending = ask.query.get('sort') !== 'asc';
  const after = Number(ask.query.get(descending ? 'id_before' : 'id_after') ?? (descending ? Infinity : 0));
  const rest = all
    .toSorted((a, b) => (descending ? b.id - a.id : a.id - b.id))
    .filter((item) => (descending ? item.id < after : item.id > after));
  const items = rest.slice(0, size);
  const last = items.at(-1);
  const to = { [descending ? 'id_before' : 'id_after']: String(last?.id) };
  const headers: Record<string, string> = rest.length > size ? { link: `<${linkTo(world, ask, to)}>; rel="next"` } : {};
  return { status: 200, headers, body: items.map(show) };
}

function linkTo(world: World, ask: Ask, values: Record<string, string>): string {
  const query = new URLSearchParams(ask.query);
  for (const [name, value] of Object.entries(values)) query.set(name, value);
  return `${world.url}${ask.path}?${query.toString()}`;
}

function whole(text: string | null, otherwise: number): number {
  const value = Number(text ?? otherwise);
  return Number.isInteger(value) && value >= 1 ? value : otherwise;
}
