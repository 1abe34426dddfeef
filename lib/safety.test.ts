import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseSync } from 'oxc-parser';
import { describe, expect, test } from 'vitest';
import { globalModels, tenantModels } from './db/models.ts';
import { installedKinds } from './forge/registry.ts';

/*
 * The repository, tested as the code is. Each rule answers what is wrong with one file, and each is shown a file that breaks
 * it: a rule that can find nothing keeps nothing.
 */

const root = fileURLToPath(new URL('..', import.meta.url));

// ------------------------------------------------------------------------------------------------ what a file says

type Import = { to: string; typeOnly: boolean; names: string[] };
type Node = { type: string; [field: string]: unknown };
type Source = { path: string; text: string; program: Node; imports: Import[] };

/** A path within the repository, or a package's name. */
function resolved(from: string, specifier: string): string {
  if (specifier.startsWith('#')) return specifier.slice(1);
  return specifier.startsWith('.') ? normalize(join(dirname(from), specifier)) : specifier;
}

function sourceOf(path: string, text: string): Source {
  const { program, module, errors } = parseSync(path, text);
  if (errors.length > 0) throw new Error(`${path}: ${errors[0]?.message}`);
  const imports: Import[] = module.staticImports.map(({ moduleRequest, entries }) => ({
    to: resolved(path, moduleRequest.value),
    typeOnly: entries.length > 0 && entries.every((entry) => entry.isType),
    names: entries.map((entry) => entry.importName.name ?? '*'),
  }));
  for (const { entries } of module.staticExports) {
    for (const { moduleRequest, isType, importName } of entries) {
      if (moduleRequest)
        imports.push({ to: resolved(path, moduleRequest.value), typeOnly: isType, names: [importName.name ?? '*'] });
    }
  }
  for (const { moduleRequest } of module.dynamicImports) {
    const quoted = /^['"`](.*)['"`]$/s.exec(text.slice(moduleRequest.start, moduleRequest.end));
    imports.push({ to: quoted ? resolved(path, quoted[1] ?? '') : '(computed)', typeOnly: false, names: ['*'] });
  }
  return { path, text, program: program as unknown as Node, imports };
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}

function* nodesOf(node: Node): Generator<Node> {
  yield node;
  for (const value of Object.values(node)) {
    for (const each of Array.isArray(value) ? value : [value]) if (isNode(each)) yield* nodesOf(each);
  }
}

function isTest(path: string): boolean {
  return /\.test\.tsx?$/.test(path);
}

const sources = globSync('{app,components,lib}/**/*.{ts,tsx}', { cwd: root })
  .filter((path) => !path.startsWith('lib/db/generated/'))
  .toSorted()
  .map((path) => sourceOf(path, readFileSync(join(root, path), 'utf8')));
const written = sources.filter(({ path }) => !isTest(path));

/** What the rule says of each of these files. */
function found(rule: (source: Source) => string[], files: readonly Source[] = written): string[] {
  return files.flatMap((source) => rule(source).map((problem) => `${source.path}: ${problem}`));
}

/** What the rule says of a file that there is not. */
function foundIn(rule: (source: Source) => string[], path: string, text: string): number {
  return rule(sourceOf(path, text)).length;
}

// ------------------------------------------------------------------------------------------------ the sorted tree

/** From top to bottom; a room may import rooms further down. Rooms of one line are siblings and may not import each other. */
const rooms = [
  [
    'lib/main.ts',
    'lib/web.ts',
    'lib/cli.ts',
    'lib/verify-audit.ts',
    'lib/reseal-status.ts',
    'lib/import.ts',
    'app',
    'proxy.ts',
  ],
  ['components', 'lib/cli'],
  ['lib/status'],
  ['lib/api'],
  ['lib/import'],
  ['lib/tenancy'],
  ['lib/doctor'],
  ['lib/enrollment'],
  ['lib/caching'],
  ['lib/billing'],
  ['lib/usage'],
  ['lib/delivery'],
  ['lib/state'],
  ['lib/fleet'],
  ['lib/notice'],
  ['lib/forge', 'lib/cluster', 'lib/cache'],
  ['lib/work'],
  ['lib/tenant'],
  ['lib/db'],
  ['lib/model', 'lib/guide'],
  ['lib/log.ts', 'lib/health.ts'],
  ['lib/telemetry'],
  ['lib/env.ts'],
  ['lib/config'],
  ['lib/body.ts'],
  ['lib/errors.ts', 'lib/clock.ts', 'lib/csv.ts'],
];
const floorOf = new Map(rooms.flatMap((line, floor) => line.map((room) => [room, floor] as const)));

function roomOf(path: string): string | undefined {
  return [...floorOf.keys()].find((room) => path === room || path.startsWith(`${room}/`));
}

/** Ways past a room's index.ts, each with its reason. */
const sideDoors: Record<string, string> = {
  // The command line must run where no database client was generated, and the index of the room imports one.
  'lib/cli/local.ts': 'lib/enrollment/document.ts',
};

function sortedTree(source: Source): string[] {
  const own = roomOf(source.path);
  if (own === undefined) return ['is in no room of the tree'];
  return source.imports.flatMap(({ to, typeOnly }) => {
    if (to.startsWith('sandbox/')) return [`imports ${to}: only tests may`];
    if (to === '(computed)') return ['imports what only running it would tell'];
    const theirs = roomOf(to);
    if (theirs === undefined || theirs === own) return [];
    const problems = [];
    if ((floorOf.get(theirs) ?? 0) <= (floorOf.get(own) ?? 0)) problems.push(`imports ${to}, which is not below it`);
    const isRoom = theirs.startsWith('lib/') && !theirs.endsWith('.ts');
    if (isRoom && to !== `${theirs}/index.ts` && sideDoors[source.path] !== to)
      problems.push(`passes by the index of ${to}`);
    if (own === 'components' && !typeOnly) problems.push(`imports ${to}, not only its types`);
    return problems;
  });
}

function primitives(source: Source): string[] {
  if (!source.path.startsWith('components/ui/')) return [];
  return source.imports.flatMap(({ to }) =>
    /^(app|components|lib|sandbox)\//.test(to) && !to.startsWith('components/ui/') ? [`imports ${to}`] : [],
  );
}

/** All files that running this one loads. */
function loadedBy(path: string, files: ReadonlyMap<string, Source>, seen = new Set<string>()): Set<string> {
  if (seen.has(path)) return seen;
  seen.add(path);
  for (const { to, typeOnly } of files.get(path)?.imports ?? []) if (!typeOnly) loadedBy(to, files, seen);
  return seen;
}

/** The files of a ring of imports, types not counted: they are gone when it runs. */
function cycleIn(files: readonly Source[]): string[] {
  const byPath = new Map(files.map((source) => [source.path, source]));
  const done = new Set<string>();
  const visit = (path: string, trail: string[]): string[] => {
    if (trail.includes(path)) return [...trail.slice(trail.indexOf(path)), path];
    if (done.has(path)) return [];
    for (const { to, typeOnly } of byPath.get(path)?.imports ?? []) {
      const cycle = typeOnly ? [] : visit(to, [...trail, path]);
      if (cycle.length > 0) return cycle;
    }
    done.add(path);
    return [];
  };
  return files.map(({ path }) => visit(path, [])).find((cycle) => cycle.length > 0) ?? [];
}

describe('the sorted tree', () => {
  test('a room imports only rooms below it, by their index.ts', () => {
    expect(found(sortedTree)).toEqual([]);
    expect(written.length).toBeGreaterThan(100);
  });

  test.each([
    ['upwards', 'lib/db/x.ts', "import { may } from '#lib/tenant/index.ts';"],
    ['sideways', 'lib/cluster/x.ts', "import type { Forge } from '../forge/index.ts';"],
    ['past an index', 'lib/usage/x.ts', "import { claim } from '#lib/work/queue.ts';"],
    ['past an index, again exported', 'lib/usage/x.ts', "export { claim } from '../work/queue.ts';"],
    ['past an index, when it runs', 'lib/usage/x.ts', "await import('#lib/work/queue.ts');"],
    ['into the top', 'lib/usage/x.ts', "import '../main.ts';"],
    ['the sandbox', 'app/x.ts', "import { startGithub } from '#sandbox/github/index.ts';"],
    ['more than types', 'components/x.tsx', "import { may, type Ctx } from '#lib/tenant/index.ts';"],
    ['a new room', 'lib/utils/x.ts', ''],
  ])('the rule finds an import %s', (_, path, text) => expect(foundIn(sortedTree, path, text)).toBeGreaterThan(0));

  test('components/ui imports nothing of ours', () => {
    expect(found(primitives)).toEqual([]);
    expect(foundIn(primitives, 'components/ui/x.tsx', "import type { Quota } from '#lib/model/index.ts';")).toBe(1);
  });

  test('nothing imports in a ring', () => {
    expect(cycleIn(sources)).toEqual([]);
    const ring = [sourceOf('lib/a.ts', "import './b.ts';"), sourceOf('lib/b.ts', "export { a } from './a.ts';")];
    expect(cycleIn(ring)).toEqual(['lib/a.ts', 'lib/b.ts', 'lib/a.ts']);
  });

  test('every room has an index.ts, which begins with its story', () => {
    const folders = readdirSync(join(root, 'lib'), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const index = (name: string) => join(root, 'lib', name, 'index.ts');
    const without = folders.filter(
      ({ name }) =>
        !existsSync(index(name)) || !/^\/\*\*\n \* [^]{120,}?\*\/\n/.test(readFileSync(index(name), 'utf8')),
    );
    expect(without.map(({ name }) => name)).toEqual([]);
  });

  test('the command line loads no database client', () => {
    const files = new Map(written.map((source) => [source.path, source]));
    const loaded = [...loadedBy('lib/cli.ts', files)];
    expect(loaded).toContain('lib/model/scope.ts');
    expect(loaded.filter((path) => path.startsWith('lib/db/'))).toEqual([]);
  });

  test('each forge has a folder, and what all of them have is in files of the same names', () => {
    const folders = readdirSync(join(root, 'lib/forge'), { withFileTypes: true }).filter(
      (entry) => entry.isDirectory() && entry.name !== 'fixtures',
    );
    expect(folders.map(({ name }) => name).toSorted()).toEqual([...installedKinds].toSorted());
    const common = ['choice', 'client', 'errors', 'index', 'observe', 'schema', 'scopes', 'sign-in', 'webhook'].map(
      (part) => `${part}.ts`,
    );
    const filesOf = (name: string) =>
      readdirSync(join(root, 'lib/forge', name))
        .filter((file) => !isTest(file))
        .toSorted();
    for (const { name } of folders)
      expect({ [name]: filesOf(name) }).toEqual({ [name]: expect.arrayContaining(common) });
  });
});

// ------------------------------------------------------------------------------------------------ pure files

const pureFiles = [
  'lib/model/*.ts',
  'lib/errors.ts',
  'lib/csv.ts',
  'lib/config/keys.ts',
  'lib/config/gather.ts',
  'lib/config/nearest.ts',
  'lib/config/production.ts',
  'lib/config/page.ts',
  'lib/telemetry/metric-list.ts',
  'lib/status/judge.ts',
  'lib/status/facts.ts',
  'lib/telemetry/scrub.ts',
  'lib/cluster/manifests.ts',
  'lib/cluster/*objects.ts',
  'lib/cluster/daemons.ts',
  'lib/cluster/places.ts',
  'lib/cluster/toml.ts',
  'lib/cluster/ip-range.ts',
  'lib/cluster/network-policy.ts',
  'lib/cluster/runner-pods.ts',
  'lib/cluster/pod-seen.ts',
  'lib/cluster/compare.ts',
  'lib/cluster/owned-part.ts',
  'lib/cluster/*-text.ts',
  'lib/tenant/permission.ts',
  'lib/tenant/audit-chain.ts',
  'lib/tenant/audit-diff.ts',
  'lib/usage/meter.ts',
  'lib/caching/usage.ts',
  'lib/cache/bazel/metrics.ts',
  'lib/usage/meters.ts',
  'lib/usage/gaps.ts',
  'lib/billing/exact.ts',
  'lib/billing/price.ts',
  'lib/billing/attribute.ts',
  'lib/billing/period.ts',
  'lib/billing/forecast.ts',
  'lib/billing/budget-steps.ts',
  'lib/billing/focus.ts',
  'lib/enrollment/conditions.ts',
  'lib/fleet/placement.ts',
  'lib/delivery/job-state*.ts',
  'lib/state/snapshot.ts',
  'lib/state/admit.ts',
  'lib/state/diff.ts',
  'lib/doctor/facts.ts',
  'lib/doctor/diagnose.ts',
  'lib/doctor/badge.ts',
];
const pure = new Set(globSync(pureFiles, { cwd: root }).filter((path) => !isTest(path)));

/** Packages that compute and do nothing else. */
const purePackages = new Set(['zod', 'decimal.js', 'temporal-polyfill']);
const impureGlobals = new Set(
  ['process', 'fetch', 'performance', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'crypto'].concat([
    'globalThis',
    'window',
    'document',
    'console',
    'Temporal',
    'require',
    'eval',
  ]),
);

function impureImport({ to, typeOnly, names }: Import): boolean {
  if (typeOnly || pure.has(to) || purePackages.has(to)) return false;
  if (to === 'lib/model/index.ts') return false;
  return !(to === 'node:crypto' && names.every((name) => name === 'createHash'));
}

/** `Date.now`, `Math.random`, Temporal's `Now` under whatever name, and a `new Date()` that reads the clock. */
function impureUse(node: Node): string | undefined {
  const name = (value: unknown) => (isNode(value) && value.type === 'Identifier' ? (value['name'] as string) : '');
  if (node.type === 'MemberExpression') {
    const use = `${name(node['object'])}.${name(node['property'])}`;
    return use === 'Date.now' || use === 'Math.random' || use.endsWith('.Now') ? use : undefined;
  }
  if (node.type === 'NewExpression' || node.type === 'CallExpression') {
    const reads = name(node['callee']) === 'Date' && (node['arguments'] as unknown[]).length === 0;
    return reads ? 'the present time' : undefined;
  }
  return undefined;
}

/** Identifiers that are read as values: neither a property's name nor a type's. */
function* readNames(node: Node): Generator<string> {
  if (node.type === 'Identifier') yield node['name'] as string;
  for (const [field, value] of Object.entries(node)) {
    const isName =
      (field === 'property' && node.type === 'MemberExpression' && node['computed'] !== true) ||
      (field === 'key' && node['computed'] !== true);
    if (isName || field === 'typeAnnotation' || field === 'typeArguments' || field === 'returnType') continue;
    for (const each of Array.isArray(value) ? value : [value])
      if (isNode(each) && !each.type.startsWith('TSType') && each.type !== 'TSInterfaceDeclaration')
        yield* readNames(each);
  }
}

function purity(source: Source): string[] {
  const uses = [...nodesOf(source.program)].flatMap((node) => impureUse(node) ?? []);
  const globals = [...readNames(source.program)].filter((name) => impureGlobals.has(name));
  return [
    ...source.imports.filter(impureImport).map(({ to }) => `imports ${to}`),
    ...uses.map((use) => `reads ${use}`),
    ...new Set(globals.map((name) => `uses ${name}`)),
  ];
}

describe('pure files', () => {
  test('do nothing and ask nothing', () => {
    expect(pure.size).toBeGreaterThanOrEqual(15);
    expect(pureFiles.filter((pattern) => globSync(pattern, { cwd: root }).length === 0)).toEqual([]);
    expect(
      found(
        purity,
        written.filter(({ path }) => pure.has(path)),
      ),
    ).toEqual([]);
  });

  test.each([
    "import { readFileSync } from 'node:fs';",
    "import { createHash, randomBytes } from 'node:crypto';",
    "import { tenantDb } from '#lib/db/index.ts';",
    'const at = Date.now();',
    'const at = new Date();',
    'const at = Date();',
    'const id = Math.random();',
    "import * as zones from 'temporal-polyfill'; const at = zones.Temporal.Now.instant();",
    'const home = process.env.HOME;',
    "void fetch('https://example.org');",
    'const id = crypto.randomUUID();',
    'setTimeout(() => {}, 1);',
  ])('the rule finds %s', (text) => expect(foundIn(purity, 'lib/model/x.ts', text)).toBeGreaterThan(0));

  test('the rule lets values through', () => {
    const text = `
      import { createHash } from 'node:crypto';
      import type { Ctx } from '#lib/tenant/index.ts';
      export type Run = { process: string; fetch: typeof fetch };
      export const at = (ms: number, run: { process: string }) => [new Date(ms), run.process, createHash('sha256')];`;
    expect(purity(sourceOf('lib/model/x.ts', text))).toEqual([]);
  });
});

// ------------------------------------------------------------------------------------------------ doors

const doorOf: Record<string, ReadonlySet<string>> = {
  action: new Set(['action', 'personAction', 'operatorAction', 'openAction']),
  page: new Set(['page', 'personPage', 'operatorPage']),
  route: new Set(['view', 'operatorView', 'route', 'operatorRoute', 'openRoute', 'programRoute', 'personRoute']),
};

/** Doors that are open to anybody, each with its reason. */
const openDoors: Record<string, string> = {
  'app/(public)/page.tsx': 'the landing page',
  'app/(public)/sign-in/page.tsx': 'who is not signed in must be able to',
  'app/(public)/help/page.tsx': 'the guide is for anybody',
  'app/(public)/help/[page]/page.tsx': 'the guide is for anybody',
  'app/api/auth/[...nextauth]/route.ts': 'signing in',
};

function isDoorCall(value: unknown, doors: ReadonlySet<string>): boolean {
  if (!isNode(value) || value.type !== 'CallExpression') return false;
  const callee = value['callee'] as Node;
  return callee.type === 'Identifier' && doors.has(callee['name'] as string);
}

function hasDirective(node: Node): boolean {
  return node.type === 'ExpressionStatement' && node['directive'] === 'use server';
}

/** What an export of a file is, where it is a value: [its name, what makes it]. */
function* exportedValues(program: Node): Generator<[string, unknown]> {
  for (const node of program['body'] as Node[]) {
    if (node.type === 'ExportAllDeclaration' && node['exportKind'] !== 'type') yield ['*', undefined];
    if (node.type === 'ExportDefaultDeclaration') yield ['default', node['declaration']];
    if (node.type !== 'ExportNamedDeclaration' || node['exportKind'] === 'type') continue;
    const declaration = node['declaration'] as Node | null;
    if (declaration?.type === 'VariableDeclaration') {
      for (const each of declaration['declarations'] as Node[])
        yield [(each['id'] as Node)['name'] as string, each['init']];
    } else if (declaration) yield [((declaration['id'] as Node | null)?.['name'] as string) ?? '?', declaration];
    else if ((node['specifiers'] as Node[]).some((each) => each['exportKind'] !== 'type')) yield ['{…}', undefined];
  }
}

function doorNames(source: Source, doors: ReadonlySet<string>): ReadonlySet<string> {
  const theirs = source.imports.filter(({ to }) => to === 'lib/tenant/index.ts').flatMap(({ names }) => names);
  return new Set(theirs.filter((name) => doors.has(name)));
}

function serverActions(source: Source): string[] {
  const directives = [...nodesOf(source.program)].filter(hasDirective);
  const [first] = source.program['body'] as Node[];
  if (directives.length === 0) return [];
  if (directives.length > 1 || !first || !hasDirective(first)) return ["has 'use server' within a function"];
  const doors = doorNames(source, doorOf['action'] ?? new Set());
  return [...exportedValues(source.program)].flatMap(([name, value]) =>
    isDoorCall(value, doors) ? [] : [`${name} is not made by an action door`],
  );
}

const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', '*', '{…}', '?']);

function pagesAndRoutes(source: Source): string[] {
  const kind = /\/(page|route)\.tsx?$/.exec(source.path)?.[1];
  if (!source.path.startsWith('app/') || kind === undefined || source.path in openDoors) return [];
  const doors = doorNames(source, doorOf[kind] ?? new Set());
  const ways = [...exportedValues(source.program)].filter(([name]) =>
    kind === 'page' ? name === 'default' : methods.has(name),
  );
  if (ways.length === 0) return ['opens nothing'];
  return ways.flatMap(([name, value]) => (isDoorCall(value, doors) ? [] : [`${name} is not made by a ${kind} door`]));
}

describe('doors', () => {
  test("every export of a 'use server' file is made by an action door", () => {
    expect(found(serverActions)).toEqual([]);
    expect(written.filter(({ text }) => text.startsWith("'use server'")).length).toBeGreaterThanOrEqual(4);
  });

  test.each([
    "'use server';\nexport async function open() {}",
    "'use server';\nexport default async function open() {}",
    "'use server';\nimport { action } from '#lib/tenant/index.ts';\nexport const a = action('x', S, f), b = async () => {};",
    "'use server';\nimport { action } from './mine.ts';\nexport const a = action('x', S, f);",
    "'use server';\nexport * from './other.ts';",
    "'use server';\nconst f = async () => {};\nexport { f };",
    "export function Page() { async function save() { 'use server'; } return save; }",
  ])('the rule finds %s', (text) => expect(foundIn(serverActions, 'app/x/actions.ts', text)).toBe(1));

  test('every page and route of app/ is made by a door, or is on the list of open ones', () => {
    expect(found(pagesAndRoutes)).toEqual([]);
    expect(Object.keys(openDoors).filter((path) => !existsSync(join(root, path)))).toEqual([]);
    expect(foundIn(pagesAndRoutes, 'app/t/x/page.tsx', 'export default async function Page() {}')).toBe(1);
    expect(foundIn(pagesAndRoutes, 'app/api/x/route.ts', 'export const GET = () => new Response();')).toBe(1);
    expect(foundIn(pagesAndRoutes, 'app/api/x/route.ts', 'export async function POST() {}')).toBe(1);
  });
});

// ------------------------------------------------------------------------------------------------ configuration and database

/** Who may touch process.env beside env.ts, each with its reason. */
const envTouchers: Record<string, string> = {
  'lib/env.ts': 'the one reader',
  'lib/tenant/sign-in.ts': 'next-auth reads its address from the environment and from nowhere else; it is only written',
};

function environment(source: Source): string[] {
  if (source.path in envTouchers) return [];
  const reads = [...nodesOf(source.program)].filter((node) => {
    const name = (value: unknown) => (isNode(value) ? (value['name'] ?? value['value']) : undefined);
    const ofProcess =
      node.type === 'MemberExpression' && name(node['object']) === 'process' && name(node['property']) === 'env';
    return ofProcess || (node.type === 'MetaProperty' && source.text.includes('import.meta.env'));
  });
  return [
    ...reads.map(() => 'reads the environment'),
    ...source.imports.filter(({ to }) => to === 'node:process' || to === 'process').map(() => 'imports process'),
  ];
}

/** Who may see all tenants at once, each with its reason. */
const unsafeUsers: Record<string, string> = {
  'lib/billing/budgets.ts': 'a worker acts for all tenants; a team is another tenant',
  'lib/billing/close.ts': 'a worker and operators close the months of all tenants',
  'lib/billing/statement.ts': 'a worker and operators draw the statements of all tenants',
  'lib/billing/focus-export.ts': 'an operator exports all tenants; a tenant’s export names it',
  'lib/billing/dashboard.ts': 'jobs of a tenant and those below it',
  'lib/billing/month.ts': 'rates belong to no tenant; what it asks names its tenants',
  'lib/billing/rates.ts': 'rates belong to no tenant; operators agree with any',
  'lib/billing/tags.ts': 'pools belong to no tenant',
  'lib/delivery/accept.ts': 'a webhook comes before its tenant is known',
  'lib/delivery/directed.ts': 'a webhook comes before its tenant is known',
  'lib/delivery/own-app.ts': 'a webhook comes before its tenant is known',
  'lib/delivery/own-hook.ts': 'a webhook comes before its tenant is known',
  'lib/delivery/prune.ts': 'a worker forgets old deliveries, which belong to no tenant',
  'lib/delivery/rows.ts': 'a forge knows no tenant',
  'lib/delivery/take-jobs.ts': 'a forge knows no tenant',
  'lib/caching/operator.ts': 'cache servers belong to no tenant',
  'lib/caching/page.ts': 'cache servers and credentials are for the system alone; a page names its tenant',
  'lib/caching/readings.ts': 'a worker reads the caches of all tenants',
  'lib/caching/reconcile-views.ts': 'a worker acts for all tenants',
  'lib/caching/server.ts': 'cache servers belong to no tenant; their secrets are for the system alone',
  'lib/caching/tokens.ts': 'a token is written down with the credential that holds it; each statement names its tenant',
  'lib/caching/views.ts': 'the names of views are one space over all tenants; each statement names its tenant',
  'lib/enrollment/bazel-readers.ts': 'a cluster belongs to no tenant',
  'lib/enrollment/catalog.ts': 'the catalog of pools belongs to no tenant',
  'lib/enrollment/change-forge.ts': 'forge connections belong to no tenant',
  'lib/enrollment/credential-view.ts':
    'credentials are for the system alone; a page names its tenant and is shown no value',
  'lib/enrollment/credentials.ts': 'credentials are for the system alone',
  'lib/enrollment/forge-token.ts': 'credentials are for the system alone',
  'lib/enrollment/connections.ts': 'forge connections belong to no tenant; their secrets are for the system alone',
  'lib/enrollment/desired.ts': 'a worker acts for all tenants; credentials are for the system alone',
  'lib/enrollment/prune-plans.ts': 'a worker forgets plans that nobody applied, of all tenants',
  'lib/enrollment/pool-catalog.ts': 'the operators’ catalog, and the enrollments that have a pool of it',
  'lib/enrollment/sharing.ts': 'shares are of all enrollments of a tenant, and follow from its quota',
  'lib/enrollment/warm.ts': 'a worker’s task, which is of every tenant',
  'lib/enrollment/draft.ts':
    'a new tenant is made before anybody belongs to it; a scope is enrolled once over all tenants',
  'lib/enrollment/documents-of.ts': 'which App acts stands with the forge; the statement names its tenant',
  'lib/enrollment/drift.ts': 'what the cluster tells of is of any tenant',
  'lib/enrollment/errands.ts': 'whom we sent to a forge belongs to no tenant',
  'lib/enrollment/found.ts': 'a worker acts for all tenants; what it finds is of none that is known',
  'lib/enrollment/github-app.ts': 'an App is made before its tenant is known; secrets are for the system alone',
  'lib/enrollment/new-forge.ts': 'forge connections belong to no tenant',
  'lib/enrollment/phases.ts': 'a worker acts for all tenants',
  'lib/enrollment/prepare.ts': 'a worker acts for all tenants',
  'lib/enrollment/move-changes.ts': 'an operator moves any tenant; clusters belong to none',
  'lib/enrollment/planes.ts': 'a worker acts for all tenants',
  'lib/enrollment/plan.ts': 'names are reserved, and locks taken, over all tenants',
  'lib/enrollment/reconcile.ts': 'a worker acts for all tenants',
  'lib/enrollment/registration.ts': 'a worker acts for all tenants',
  'lib/enrollment/tell.ts': 'a worker acts for all tenants; credentials are for the system alone',
  'lib/enrollment/rotation.ts': 'a worker acts for all tenants',
  'lib/enrollment/standings.ts': 'a person’s roles are of several tenants',
  'lib/enrollment/rows.ts': 'a worker acts for all tenants',
  'lib/enrollment/webhook-secret.ts':
    'an App’s secrets are for the system alone; each statement names its tenant or its forge',
  'lib/enrollment/view.ts': 'installations and cache servers belong to no tenant',
  'lib/enrollment/allocation.ts': 'what is left of a quota depends on the tenants above and below',
  'lib/enrollment/evidence.ts': 'a worker acts for all tenants',
  'lib/api/idempotency.ts': 'what was answered is a token’s, and a token is asked for before its tenant is known',
  'lib/doctor/examine.ts': 'a worker acts for all tenants',
  'lib/doctor/look.ts': 'a worker acts for all tenants',
  'lib/doctor/proof.ts': 'a worker acts for all tenants',
  'lib/doctor/proof-checks.ts': 'a worker acts for all tenants; another’s namespace is what must be refused',
  'lib/doctor/proof-route.ts': 'a worker acts for all tenants',
  'lib/doctor/proof-view.ts': 'whoever has a badge’s address belongs to no tenant',
  'lib/doctor/rows.ts': 'a worker acts for all tenants',
  'lib/doctor/wake.ts': 'what the cluster tells of is of any tenant',
  'lib/main.ts': 'a worker acts for all tenants',
  'lib/status/beat.ts': 'a process belongs to no tenant',
  'lib/status/read.ts': 'operators see what waits of any tenant',
  'lib/tenancy/approvals.ts': 'an operator sees all tenants',
  'lib/tenancy/ask.ts': 'a new tenant is made before anybody belongs to it; a share is taken from the tenant above',
  'lib/tenancy/capacity.ts': 'a cluster is shared by all its tenants',
  'lib/import/import.ts': 'what operators enter belongs to no tenant',
  'lib/fleet/held.ts': 'a cluster is shared by all its tenants',
  'lib/fleet/look.ts': 'a cluster belongs to no tenant',
  'lib/fleet/room.ts': 'a cluster is shared by all its tenants',
  'lib/fleet/state.ts': 'a cluster belongs to no tenant',
  'lib/fleet/way.ts': 'a cluster belongs to no tenant',
  'lib/tenancy/decide.ts': 'an operator decides for all tenants',
  'lib/tenancy/family.ts': 'a tenant sees those below it',
  'lib/tenancy/carry-out.ts': 'a worker acts for all tenants',
  'lib/tenancy/clusters.ts': 'an operator sees the tenants of all clusters',
  'lib/tenancy/move.ts': 'an operator moves any tenant, and all below it',
  'lib/tenancy/move-plan.ts': 'an operator moves any tenant, and all below it',
  'lib/tenancy/leave.ts': 'a worker acts for all tenants; secrets are for the system alone',
  'lib/tenancy/requests.ts': 'a request is written by both sides',
  'lib/tenancy/submit.ts': 'a request is written by both sides',
  'lib/tenancy/team.ts': 'which teams there are is the matter of the tenant above',
  'lib/tenancy/suspend.ts': 'an operator stops any tenant, and all below it',
  'lib/notice/deliver.ts': 'a worker sends for all tenants; secrets are for the system alone',
  'lib/notice/endpoint.ts': 'secrets of endpoints are for the system alone; each statement names its tenant',
  'lib/notice/inbox.ts': 'what somebody has read belongs to a person',
  'lib/notice/unsent.ts': 'operators see what waits of any tenant',
  'lib/notice/sweep.ts': 'a worker lets go of what is old for all tenants',
  'lib/state/credential.ts': 'state is the operators’ and belongs to no tenant',
  'lib/state/program.ts': 'state is the operators’ and belongs to no tenant',
  'lib/state/reseal.ts': 'state is the operators’ and belongs to no tenant',
  'lib/state/stack.ts': 'state is the operators’ and belongs to no tenant',
  'lib/state/view.ts': 'state is the operators’ and belongs to no tenant',
  'lib/tenant/attempts.ts': 'who tries something belongs to no tenant, or to nobody at all',
  'lib/tenant/device.ts': 'a program asks for a person, before any tenant',
  'lib/tenant/forget.ts': 'what programs left behind belongs to tokens, or to nobody yet',
  'lib/tenant/api-token.ts': 'a token says who asks before it is known for which tenant; a page names its tenant',
  'lib/tenant/audit-anchor.ts': 'the chains of all tenants are anchored together',
  'lib/tenant/audit-verify.ts': 'the chains of all tenants are verified together',
  'lib/tenant/audit-view.ts': 'operators read the records of all tenants',
  'lib/tenant/door.ts': 'a denial is recorded for a tenant that the person does not belong to',
  'lib/tenant/invitation.ts': 'who is invited belongs to no tenant yet; a page names its tenant',
  'lib/tenant/members.ts': 'people belong to no tenant; a page names its tenant',
  'lib/tenant/follow.ts': 'identities belong to a person',
  'lib/tenant/membership.ts': 'which tenants somebody belongs to is asked before one is chosen',
  'lib/tenant/operator.ts': 'an operator sees all tenants',
  'lib/tenant/session.ts': 'sessions belong to a person',
  'lib/tenant/sign-in.ts': 'identities belong to a person',
  'lib/tenant/standings.ts': 'a person’s roles are of several tenants',
  'lib/tenant/token.ts': 'identities belong to a person',
  'lib/usage/ledger.ts': 'operators read the jobs of all tenants',
  'lib/usage/live.ts':
    'whether anything has changed is one statement that names its tenant, which the tenant client does not do',
  'lib/usage/runners.ts': 'a worker measures all tenants',
  'lib/usage/sample.ts': 'a worker measures all tenants',
  'lib/usage/series.ts': 'the sums are statements that name their tenant, which the tenant client does not do',
  'lib/usage/keep.ts': 'a worker measures all tenants',
  'lib/usage/looks.ts': 'a cluster is looked at for all its tenants',
  'lib/usage/metrics.ts': 'a worker measures all tenants',
  'lib/usage/storage.ts': 'a worker measures all tenants',
  'lib/usage/totals.ts': 'the sum is one statement that names its tenants, which the tenant client does not do',
  'lib/usage/days.ts': 'a worker keeps the days of all tenants, and a sum those of the tenants that it names',
  'lib/verify-audit.ts': 'the chains of all tenants are verified together',
  'lib/work/queue.ts': 'a task belongs to no tenant',
};

function unsafeUse({ path, imports }: Source): string[] {
  if (path in unsafeUsers || path.startsWith('lib/db/')) return [];
  return imports.flatMap(({ to, names }) =>
    to.startsWith('lib/db/')
      ? names.filter((name) => /^(unsafe(Db|Transaction)|\*)$/.test(name)).map((name) => `imports ${name}`)
      : [],
  );
}

/** What is sealed is kept under a name that says so: by it the rotation of the key finds every column (lib/reseal.db.test.ts). */
function sealedNames(source: Source): string[] {
  const seals = new Set(['seal', 'sealBytes']);
  const sealsIt = (value: unknown): boolean => {
    if (!isNode(value)) return false;
    if (value.type === 'AwaitExpression') return sealsIt(value['argument']);
    return value.type === 'CallExpression' && seals.has(((value['callee'] as Node)['name'] as string) ?? '');
  };
  const nameOf = (node: Node) => ((node['key'] ?? node['id']) as Node | undefined)?.['name'] as string | undefined;
  const nodes = [...nodesOf(source.program)];
  const named = nodes.filter((node) => sealsIt(node['value'] ?? node['init']) && nameOf(node)?.startsWith('sealed'));
  const calls = nodes.filter((node) => node.type === 'CallExpression' && sealsIt(node));
  return calls.length > named.length ? ['keeps something sealed under a name that does not say so'] : [];
}

describe('configuration and database', () => {
  test('what is sealed is called so', () => {
    expect(found(sealedNames)).toEqual([]);
    expect(foundIn(sealedNames, 'lib/x.ts', "const row = { secret: await seal('x', 'y') };")).toBe(1);
    expect(foundIn(sealedNames, 'lib/x.ts', "keep(await seal('x', 'y'));")).toBe(1);
    expect(foundIn(sealedNames, 'lib/x.ts', "const sealedKey = await seal('x', 'y');")).toBe(0);
    expect(written.filter(({ text }) => /\bseal(Bytes)?\(/.test(text)).length).toBeGreaterThan(8);
  });

  test('only lib/env.ts reads the environment', () => {
    expect(found(environment)).toEqual([]);
    expect(foundIn(environment, 'lib/x.ts', 'const url = process.env.URL;')).toBe(1);
    expect(foundIn(environment, 'lib/x.ts', "const { URL } = process['env'];")).toBe(1);
    expect(foundIn(environment, 'lib/x.ts', "import { env } from 'node:process';")).toBe(1);
  });

  test('the name of a prepared statement is of one text', () => {
    const names = written.flatMap(({ text }) =>
      [...text.matchAll(/\/\* prepared: (\w+) \*\//g)].map(([, name]) => name),
    );
    expect(names.length).toBeGreaterThan(4);
    expect(names).toEqual([...new Set(names)]);
  });

  test('who sees all tenants is on the list, and the list names nobody else', () => {
    expect(found(unsafeUse)).toEqual([]);
    expect(foundIn(unsafeUse, 'app/x.ts', "import { unsafeDb as db } from '#lib/db/index.ts';")).toBe(1);
    expect(foundIn(unsafeUse, 'app/x.ts', "import * as db from '#lib/db/index.ts';")).toBe(1);
    expect(foundIn(unsafeUse, 'app/x.ts', "export { unsafeTransaction } from '#lib/db/index.ts';")).toBe(1);
    const users = new Set(
      written.filter(({ text }) => /\bunsafe(Db|Transaction)\b/.test(text)).map(({ path }) => path),
    );
    expect(Object.keys(unsafeUsers).filter((path) => !users.has(path))).toEqual([]);
  });

  test('every table is a tenant’s or on the list of global ones', () => {
    const schema = readFileSync(join(root, 'prisma/schema.prisma'), 'utf8');
    const models = [...schema.matchAll(/^model (\w+) \{([^]*?)^\}/gm)].map(([, name = '', body = '']) => ({
      name,
      body,
    }));
    const listed = [...Object.keys(tenantModels), ...globalModels.readable, ...globalModels.systemOnly];
    expect(listed.toSorted()).toEqual(models.map(({ name }) => name).toSorted());
    // A model with a tenant's column is that tenant's, whatever the list says.
    const withTenant = models.filter(({ body }) => /^\s+tenantId\s/m.test(body)).map(({ name }) => name);
    expect(
      Object.keys(tenantModels)
        .filter((name) => name !== 'Tenant')
        .toSorted(),
    ).toEqual(withTenant.toSorted());
  });
});

// ------------------------------------------------------------------------------------------------ what is kept in git

/** A developer's own folders: what depends on them runs nowhere else. */
const ownPaths = new RegExp(String.raw`(?<![\w.@)\]}*-])/(${['work', 'root'].join('|')})/`);

test('no tracked file names a path of the machine that it was written on', () => {
  const tracked = execFileSync('git', ['ls-files', '-z'], { cwd: root, encoding: 'utf8' }).split('\0').filter(Boolean);
  expect(tracked.length).toBeGreaterThan(100);
  const naming = tracked.filter((path) => {
    // Removed, but not yet from git.
    if (!existsSync(join(root, path))) return false;
    const text = readFileSync(join(root, path), 'utf8');
    return !text.includes('\0') && ownPaths.test(text);
  });
  expect(naming).toEqual([]);
  expect(ownPaths.test(['see ', 'work', 'notes.md'].join('/'))).toBe(true);
  expect(ownPaths.test("from '#lib/work/index.ts'")).toBe(false);
});
