import { z } from 'zod';
import type { Cell, Table } from './table-text.ts';

/* What can be got, and what of it a table shows. Read loosely: the whole of it, as it is told, is for -o json. */

export const Item = z.looseObject({});
export type Item = z.infer<typeof Item>;

/** The value at a path of names, as a cell. */
export function at(item: unknown, path: string): Cell {
  let value: unknown = item;
  for (const name of path.split('.')) value = (value as Record<string, unknown> | null | undefined)?.[name];
  if (Array.isArray(value)) return value.join(', ');
  return typeof value === 'object' ? (value === null ? null : JSON.stringify(value)) : (value as Cell);
}

type Column = readonly [title: string, cell: string | ((item: Item) => Cell)];

function table(items: readonly Item[], columns: readonly Column[]): Table {
  return {
    head: columns.map(([title]) => title),
    rows: items.map((item) => columns.map(([, cell]) => (typeof cell === 'string' ? at(item, cell) : cell(item)))),
  };
}

const within = (item: Item, name: string): Item[] => (item[name] as Item[] | undefined) ?? [];

/** `2026-11-26 12:00`, in UTC as the portal tells it. */
function time(path: string): (item: Item) => Cell {
  return (item) => {
    const text = at(item, path);
    return typeof text === 'string' ? text.slice(0, 16).replace('T', ' ') : text;
  };
}

const day = (path: string) => (item: Item) => at(item, path)?.toString().slice(0, 10);

function seconds(path: string): (item: Item) => Cell {
  return (item) => {
    const value = at(item, path);
    if (typeof value !== 'number') return null;
    const whole = Math.round(value);
    if (whole < 60) return `${whole} s`;
    return whole < 3600
      ? `${Math.floor(whole / 60)} min ${whole % 60} s`
      : `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  };
}

function bytes(path: string): (item: Item) => Cell {
  return (item) => {
    const value = at(item, path);
    return typeof value === 'number' ? `${(value / 1024 ** 3).toFixed(1)} GiB` : null;
  };
}

export type Kind = {
  says: string;
  /** Below /api/v1. */
  path: (tenant: string) => string;
  /** `optional`: it is another thing without one. */
  tenant: 'needed' | 'optional' | 'none';
  /** Whether the path answers a list, in pages. */
  isList: boolean;
  /** Where one is asked for by its name: an address of its own, or a field of the list by which it is found. */
  one?: { path: (tenant: string, name: string) => string; isList?: true } | { by: readonly string[] };
  tables: (items: readonly Item[]) => readonly Table[];
  /** Of one of them; as of many where it is left out. */
  oneTables?: (item: Item) => readonly Table[];
};

const below = (tenant: string, rest = '') => `/tenants/${encodeURIComponent(tenant)}${rest}`;
const named = (name: string) => encodeURIComponent(name);

const enrollmentColumns: Column[] = [
  ['NAME', 'name'],
  ['SCOPE', 'scope.path'],
  ['FORGE', 'forgeName'],
  ['STATE', 'state'],
  ['READY', 'ready'],
  ['WAITS FOR', 'waitingFor'],
  ['LABELS', 'labels'],
  ['SAYS', 'headline'],
];

const requestColumns: Column[] = [
  ['ID', 'id'],
  ['KIND', 'kind'],
  ['STATE', 'state'],
  ['ASKED BY', 'createdBy'],
  ['ASKED', time('createdAt')],
  ['DECIDED BY', 'decidedBy'],
];

export const kinds: Record<string, Kind> = {
  tenants: {
    says: 'tenants that you belong to',
    path: () => '/tenants',
    tenant: 'none',
    isList: true,
    one: { path: (_, name) => below(name) },
    tables: (items) => [
      table(items, [
        ['TENANT', 'slug'],
        ['NAME', 'displayName'],
        ['ROLE', 'role'],
      ]),
    ],
    oneTables: (item) => [
      table(
        [item],
        [
          ['TENANT', 'slug'],
          ['NAME', 'displayName'],
          ['KIND', 'kind'],
          ['STATE', 'state'],
          ['CLUSTER', 'cluster'],
          ['ROLE', 'role'],
          ['CPU', 'quota.cpu'],
          ['MEMORY', 'quota.memory'],
          ['RUNNERS', 'quota.runners'],
          ['STORAGE', 'quota.storage'],
        ],
      ),
    ],
  },
  enrollments: {
    says: 'enrollments of a tenant; one with its phases',
    path: (tenant) => below(tenant, '/enrollments'),
    tenant: 'needed',
    isList: true,
    one: { path: (tenant, name) => below(tenant, `/enrollments/${named(name)}`) },
    tables: (items) => [table(items, enrollmentColumns)],
    oneTables: (item) => [
      table([item], enrollmentColumns),
      table(within(item, 'phases'), [
        ['PHASE', 'label'],
        ['DONE', 'status'],
        ['WAITS FOR', 'waitingFor'],
        ['SINCE', time('since')],
        ['SAYS', 'message'],
      ]),
    ],
  },
  pools: {
    says: 'what runs now in a tenant; without one, the catalog of pools',
    path: (tenant) => (tenant === '' ? '/pools' : below(tenant, '/pools')),
    tenant: 'optional',
    isList: true,
    one: { by: ['name', 'pool', 'label'] },
    tables: (items) =>
      items.some((item) => 'label' in item)
        ? [
            table(items, [
              ['LABEL', 'label'],
              ['POOL', 'pool'],
              ['WARM', 'minRunners'],
              ['AT MOST', 'maxRunners'],
              ['QUEUED', 'queued'],
              ['STARTING', 'pending'],
              ['RUNNING', 'running'],
              ['IDLE', 'idle'],
              ['PLACES', 'places'],
              ['FAILED', 'failed'],
              ['ROOM', 'room'],
            ]),
          ]
        : [
            table(items, [
              ['POOL', 'name'],
              ['CPU', 'cpu'],
              ['MEMORY', 'memory'],
              ['STORAGE', 'storage'],
              [
                'PRICE/H',
                (item) =>
                  item['pricePerRunnerHour'] ? `${at(item, 'pricePerRunnerHour')} ${at(item, 'currency')}` : null,
              ],
              ['BY APPROVAL', 'requiresApproval'],
              ['IS', 'description'],
            ]),
          ],
  },
  jobs: {
    says: 'jobs of a tenant, newest first',
    path: (tenant) => below(tenant, '/jobs'),
    tenant: 'needed',
    isList: true,
    tables: (items) => [
      table(items, [
        ['REPOSITORY', 'repository'],
        ['WORKFLOW', 'workflow'],
        ['JOB', 'name'],
        ['LABEL', 'label'],
        ['STANDING', 'standing'],
        ['WAITED', seconds('waitSeconds')],
        ['RAN', seconds('runSeconds')],
        ['QUEUED', time('queuedAt')],
      ]),
    ],
  },
  requests: {
    says: 'what a tenant has asked operators for; one with what was said',
    path: (tenant) => below(tenant, '/requests'),
    tenant: 'needed',
    isList: true,
    one: { path: (tenant, name) => below(tenant, `/requests/${named(name)}`) },
    tables: (items) => [table(items, requestColumns)],
    oneTables: (item) => [
      table([item], requestColumns),
      table(within(item, 'messages'), [
        ['AT', time('at')],
        ['BY', 'actor'],
        ['STEP', 'step'],
        ['SAYS', 'text'],
      ]),
    ],
  },
  caches: {
    says: 'cache views of a tenant',
    path: (tenant) => below(tenant, '/caches'),
    tenant: 'needed',
    isList: true,
    one: { by: ['name', 'label', 'id'] },
    tables: (items) => [
      table(items, [
        ['VIEW', 'name'],
        ['JOBS', 'trust'],
        ['PUBLIC', 'isPublic'],
        ['SETTLED', 'isSettled'],
        ['OBJECTS', 'size.value.objects'],
        ['STORED', bytes('size.value.storedBytes')],
        ['ADDRESS', 'substituterUrl'],
        ['TROUBLE', 'trouble'],
      ]),
    ],
  },
  tokens: {
    says: 'your tokens of this API; with a tenant, those that reach it alone',
    path: (tenant) => (tenant === '' ? '/me/tokens' : below(tenant, '/tokens')),
    tenant: 'optional',
    isList: true,
    one: { by: ['name', 'id'] },
    tables: (items) => [
      table(items, [
        ['TOKEN', 'name'],
        ['STANDING', 'standing'],
        ['SCOPES', 'scopes'],
        ['PERSON', 'person'],
        ['ENDS', day('expiresAt')],
        ['USED', time('usedAt')],
        ['ID', 'id'],
      ]),
    ],
  },
  credentials: {
    says: 'what a tenant’s enrollments act by; never a value',
    path: (tenant) => below(tenant, '/credentials'),
    tenant: 'needed',
    isList: true,
    one: { by: ['id', 'enrollment'] },
    tables: (items) => [
      table(items, [
        ['ENROLLMENT', 'enrollment'],
        ['CREDENTIAL', 'kind'],
        ['OWNER', 'owner'],
        ['STANDING', 'standing'],
        ['ENDS', day('expiresAt')],
        ['USED', time('usedAt')],
        ['RENEWED BY', 'renewedBy'],
      ]),
    ],
  },
  audit: {
    says: 'who did what in a tenant, newest first',
    path: (tenant) => below(tenant, '/audit'),
    tenant: 'needed',
    isList: true,
    tables: (items) => [
      table(items, [
        ['AT', time('at')],
        ['WHO', 'actor'],
        ['DID', 'action'],
        ['TO', 'target'],
      ]),
    ],
  },
  state: {
    says: 'for operators: stacks of OpenTofu state; one with its versions',
    path: () => '/operator/state',
    tenant: 'none',
    isList: true,
    one: { path: (_, name) => `/operator/state/${named(name)}/versions`, isList: true },
    tables: (items) =>
      items.some((item) => 'number' in item)
        ? [
            table(items, [
              ['VERSION', 'number'],
              ['KIND', 'kind'],
              ['SERIAL', 'serial'],
              ['RESOURCES', 'resources'],
              ['BYTES', 'bytes'],
              ['WRITTEN', time('at')],
              ['BY', 'who'],
            ]),
          ]
        : [
            table(items, [
              ['STACK', 'name'],
              ['VERSIONS', 'versions'],
              ['SERIAL', 'newest.serial'],
              ['RESOURCES', 'newest.resources'],
              ['WRITTEN', time('newest.at')],
              ['BY', 'newest.by'],
              ['LOCKED BY', 'lock.who'],
            ]),
          ],
  },
  costs: {
    says: 'what a month costs a tenant and those below it',
    path: (tenant) => below(tenant, '/costs'),
    tenant: 'needed',
    isList: false,
    tables: ([item = {}]) => [
      table(
        [item],
        [
          ['MONTH', 'period'],
          ['COST', 'total'],
          ['FORECAST', 'forecast.total'],
          ['MONTH BEFORE', 'before.whole'],
          ['CURRENCY', 'currency'],
          ['OPEN', 'isOpen'],
        ],
      ),
      table(within(item, 'rows'), [
        ['OF', 'label'],
        ['COST', 'cost'],
        ['RUNNERS', 'own'],
        ['SHARED', 'shared'],
        ['SHARE', (row) => `${Math.round(Number(row['share'] ?? 0) * 100)} %`],
      ]),
    ],
  },
  usage: {
    says: 'how long a tenant’s jobs waited, and how they ended',
    path: (tenant) => below(tenant, '/usage'),
    tenant: 'needed',
    isList: false,
    tables: ([item = {}]) => {
      const total = { ...(item['total'] as Item | undefined), label: 'all' };
      return [
        table(
          [...within(item, 'byPool'), total],
          [
            ['LABEL', 'label'],
            ['BEGAN', 'began'],
            ['WAITED P50', seconds('p50')],
            ['P90', seconds('p90')],
            ['P99', seconds('p99')],
            ['SUCCEEDED', 'succeeded'],
            ['FAILED', 'failed'],
            ['OTHER', 'other'],
          ],
        ),
      ];
    },
  },
};
