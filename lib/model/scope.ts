import { z } from 'zod';

/** Dimension 1: which runners of which forge, at which level of its hierarchy. */
export const forgeKinds = ['github', 'gitlab', 'forgejo'] as const;
export type ForgeKind = (typeof forgeKinds)[number];

/** Each forge's own levels, narrowest first. */
export const levelsOf = {
  github: ['repository', 'organization', 'enterprise'],
  gitlab: ['project', 'group', 'instance'],
  forgejo: ['repository', 'organization', 'account'],
} as const satisfies Record<ForgeKind, readonly string[]>;

export const scopeLevels = [
  'repository',
  'organization',
  'enterprise',
  'project',
  'group',
  'instance',
  'account',
] as const;
export type ScopeLevel = (typeof scopeLevels)[number];

export function isLevelOf(kind: ForgeKind, level: ScopeLevel): boolean {
  return (levelsOf[kind] as readonly string[]).includes(level);
}

/** Segments a level's path has: [least, most]. GitLab groups nest up to 20 deep. */
const segmentsOf: Record<ScopeLevel, [number, number]> = {
  repository: [2, 2],
  organization: [1, 1],
  enterprise: [1, 1],
  project: [2, 21],
  group: [1, 20],
  instance: [0, 0],
  account: [1, 1],
};

const segment = /^[A-Za-z0-9_.][A-Za-z0-9_.-]{0,99}$/;

function isPathOf(level: ScopeLevel, path: string): boolean {
  const segments = path === '' ? [] : path.split('/');
  const [least, most] = segmentsOf[level];
  return (
    segments.length >= least &&
    segments.length <= most &&
    segments.every((part) => segment.test(part) && part !== '.' && part !== '..')
  );
}

/** `https://github.com` without a trailing slash, credentials, path, query or fragment. */
export const ForgeUrl = z
  .string()
  .max(300)
  .transform((text) => text.replace(/\/+$/, ''))
  .refine((text) => {
    const url = URL.parse(text);
    return url !== null && /^https?:$/.test(url.protocol) && url.origin === text;
  }, 'must be the forge’s origin, such as https://github.com');

export const Scope = z
  .strictObject({ forge: ForgeUrl, level: z.enum(scopeLevels), path: z.string().max(400) })
  .refine((scope) => isPathOf(scope.level, scope.path), {
    path: ['path'],
    error: (issue) => `is not the path of a ${(issue.input as { level: string }).level}`,
  });
export type Scope = z.infer<typeof Scope>;

/** Forges compare names without regard to case. */
export function samePath(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

/** Whether runners registered at `outer` already serve `inner` (the same scope counts as inside). */
export function scopeContains(outer: Scope, inner: Scope): boolean {
  if (outer.forge !== inner.forge) return false;
  if (outer.level === 'instance') return true;
  if (outer.level === inner.level && samePath(outer.path, inner.path)) return true;
  const spreads = outer.level === 'organization' || outer.level === 'group' || outer.level === 'account';
  return spreads && inner.path.toLowerCase().startsWith(`${outer.path.toLowerCase()}/`);
}

/** The URL that a runner registers at; GitHub and ARC read the level from its shape. */
export function scopeUrl(scope: Scope): string {
  if (scope.level === 'enterprise') return `${scope.forge}/enterprises/${scope.path}`;
  return scope.path === '' ? scope.forge : `${scope.forge}/${scope.path}`;
}
