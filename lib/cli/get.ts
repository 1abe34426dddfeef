import { notFound } from '../errors.ts';
import { command, wholeNumber } from './command.ts';
import { at, Item, kinds, type Kind } from './kinds.ts';
import { urlOption } from './login.ts';
import { outputOption, write } from './output.ts';
import { accessOf, Portal } from './portal.ts';
import { tenantOf, tenantOption } from './tenant.ts';
import { exitCodes, UsageError } from './terminal.ts';

const limitDefault = 100;

export const get = command(
  {
    name: 'get',
    args: ['KIND', '[NAME]'],
    choices: Object.keys(kinds),
    says: 'shows what there is',
    details: Object.entries(kinds)
      .map(([name, { says }]) => `  ${name.padEnd(12)} ${says}`)
      .join('\n'),
    options: {
      url: urlOption,
      tenant: tenantOption,
      output: outputOption,
      limit: { type: 'string', value: 'N', says: `so many at most; ${limitDefault} otherwise, 0 is all` },
      query: {
        type: 'string',
        short: 'q',
        multiple: true,
        value: 'NAME=VALUE',
        says: 'a filter of the API’s, such as standing=failure, by=repository, period=2026-11',
      },
    },
  },
  async ({ terminal, values, args: [kindName = '', name] }) => {
    const kind = kinds[kindName];
    if (!kind) throw new UsageError(`get: there is no ${kindName}.`);
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    const tenant = await tenantFor(portal, kind, values.tenant);
    const most = wholeNumber('limit', values.limit, limitDefault, 1_000_000) || Number.POSITIVE_INFINITY;
    const found = await read(portal, kind, { tenant, name, query: queryOf(values.query ?? []), most });
    if (found.isMore) terminal.err(`The first ${found.items.length}; there are more: --limit.\n`);
    const { items, isOne } = found;
    write(terminal, isOne ? items[0] : items, values.output, () =>
      isOne && kind.oneTables && items[0] ? kind.oneTables(items[0]) : kind.tables(items),
    );
    return exitCodes.done;
  },
);

async function tenantFor(portal: Portal, kind: Kind, given: string | undefined): Promise<string> {
  if (kind.tenant === 'none') return '';
  if (kind.tenant === 'optional') return given ?? '';
  return tenantOf(portal, given);
}

function queryOf(given: readonly string[]): string {
  const pairs = given.map((text) => {
    const place = text.indexOf('=');
    if (place < 1) throw new UsageError(`--query is NAME=VALUE, and ${text} is not.`);
    return [text.slice(0, place), text.slice(place + 1)];
  });
  return pairs.length === 0 ? '' : `?${new URLSearchParams(pairs).toString()}`;
}

type Wanted = { tenant: string; name: string | undefined; query: string; most: number };
type Found = { items: Item[]; isMore: boolean; isOne: boolean };

async function read(portal: Portal, kind: Kind, { tenant, name, query, most }: Wanted): Promise<Found> {
  const one = name === undefined ? undefined : kind.one;
  if (name !== undefined && one === undefined) throw new UsageError('get: these have no name to ask for.');
  if (one && 'path' in one) {
    const path = one.path(tenant, name ?? '') + query;
    if (one.isList) return { ...(await portal.list(path, Item, most)), isOne: false };
    return { items: [await portal.get(path, Item)], isMore: false, isOne: true };
  }
  // Of those by a field of theirs, however many there are.
  const all = await readAll(portal, kind, kind.path(tenant) + query, one ? Number.POSITIVE_INFINITY : most);
  if (!one) return { ...all, isOne: !kind.isList };
  const items = all.items.filter((item) => one.by.some((field) => at(item, field) === name));
  if (items.length === 0) throw notFound(name);
  return { items, isMore: false, isOne: false };
}

/** What runs now is told as one thing with a list in it. */
async function readAll(portal: Portal, kind: Kind, path: string, most: number) {
  if (!kind.isList) return { items: [await portal.get(path, Item)], isMore: false };
  if (!/^\/tenants\/[^/]+\/pools/.test(path)) return portal.list(path, Item, most);
  const { pools } = (await portal.get(path, Item)) as { pools?: Item[] };
  return { items: pools ?? [], isMore: false };
}
