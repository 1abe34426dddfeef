import { z } from 'zod';
import { EnrollmentName, TenantSlug } from '#lib/model/index.ts';
import type { Method, Operation } from './operation.ts';
import { account } from './operations/account.ts';
import { approvals } from './operations/approvals.ts';
import { caches } from './operations/caches.ts';
import { enrollments } from './operations/enrollments.ts';
import { imports } from './operations/import.ts';
import { records } from './operations/records.ts';
import { tenants } from './operations/tenants.ts';
import { use } from './operations/use.ts';

/** All that the API can do. */
export const operations: readonly Operation[] = [
  ...account,
  ...tenants,
  ...enrollments,
  ...approvals,
  ...use,
  ...caches,
  ...records,
  ...imports,
];

type Found = { operation: Operation; params: Record<string, string> } | { allowed: Method[] } | null;

type Route = { pattern: RegExp; names: string[]; byMethod: Map<string, Operation> };

function routesOf(all: readonly Operation[]): Route[] {
  return [...Map.groupBy(all, ({ path }) => path)].map(([path, own]) => ({
    pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '([^/]{1,200})')}$`),
    names: [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? ''),
    byMethod: new Map(own.map((operation) => [operation.method, operation])),
  }));
}

const routes = routesOf(operations);

/** Which operation an address below /api/v1 means; the methods that it has, where it is another; null where there is none. */
export function find(method: string, path: string): Found {
  for (const { pattern, names, byMethod } of routes) {
    const match = pattern.exec(path);
    if (!match) continue;
    const operation = byMethod.get(method === 'HEAD' ? 'GET' : method);
    if (!operation) return { allowed: [...byMethod.values()].map((each) => each.method) };
    const params = decoded(names, match.slice(1));
    return params && { operation, params };
  }
  return null;
}

/** What a parameter must look like to name anything: what does not is as absent. */
const forms: Record<string, z.ZodType> = {
  tenant: TenantSlug,
  enrollment: z.union([z.guid(), EnrollmentName]),
  stack: z.string().regex(/^[a-z0-9-]{1,63}$/),
};

function decoded(names: readonly string[], values: readonly string[]): Record<string, string> | null {
  const entries: [string, string][] = [];
  for (const [index, name] of names.entries()) {
    const value = decodedPart(values[index] ?? '');
    if (value === null || !(forms[name] ?? z.guid()).safeParse(value).success) return null;
    entries.push([name, value]);
  }
  return Object.fromEntries(entries);
}

function decodedPart(value: string): string | null {
  try {
    return decodeURIComponent(value);
  } catch {
    return null;
  }
}
