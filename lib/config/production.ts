import { aboutKey, keys, type Env } from './keys.ts';
import type { Gathered, Problem } from './gather.ts';

/* What is well-formed and would not do where people work. */

/** Words that stand where a password is to be put. */
const placeholders =
  /^(…|change[-_]?(me|it).*|place-?holder.*|replace[-_]?me.*|your[-_].*|secret|password\d*|postgres|flywheel(_app|_owner)?|admin|test|todo|x{3,}|<.*>)$/i;
/** Of 32 random bytes some thirty are different; fewer than these were typed. */
const differentBytesLeast = 16;

/** Beside what is wrong with them already: one word on each is enough. */
export function productionProblems({ values, from, problems }: Gathered): Problem[] {
  const isSaid = (key: string) => problems.some((problem) => problem.key === key || problem.key === `${key}_FILE`);
  const missing = keys
    .filter((key) => aboutKey(key).needed === 'production' && values[key] === undefined && !isSaid(key))
    .map((key) => ({ key, says: 'is not set', at: '' }));
  const found = Object.entries(rules).flatMap(([key, rule]) => {
    const value = values[key as keyof Env];
    const says = value === undefined || isSaid(key) ? null : rule(value, values);
    return says === null ? [] : [{ key, says, at: from[key as keyof Env] ?? '' }];
  });
  return [...missing, ...found];
}

type Rule = (value: string, all: Gathered['values']) => string | null;

const rules: Partial<Record<keyof Env, Rule>> = {
  FLYWHEEL_SECRET_KEY: (value) =>
    isPlaceholderKey(value) ? 'is a placeholder and no random bytes: make one with openssl rand -base64 32' : null,
  DATABASE_URL: (value) => (hasPlaceholderPassword(value) ? 'has a placeholder for a password' : null),
  DATABASE_OWNER_URL: (value) => (hasPlaceholderPassword(value) ? 'has a placeholder for a password' : null),
  FLYWHEEL_SANDBOX: (value, { PORTAL_URL: url }) =>
    value === '1' && !isLocal(url) ? 'is 1, which is for a portal on this machine alone' : null,
  PORTAL_URL: (value) =>
    value.startsWith('http:') && !isLocal(value)
      ? 'begins with http:, so that sessions could be read on the way: it is to be https:'
      : null,
};

function isPlaceholderKey(value: string): boolean {
  const bytes = Buffer.from(value, 'base64');
  // Text that somebody encoded.
  const isText = bytes.every((byte) => byte >= 32 && byte < 127);
  return isText || new Set(bytes).size < differentBytesLeast;
}

function hasPlaceholderPassword(value: string): boolean {
  if (!URL.canParse(value)) return false;
  // What is no letter is written by its number there.
  const word = new URL(value).password.replaceAll('%E2%80%A6', '…').replaceAll('%3C', '<').replaceAll('%3E', '>');
  return placeholders.test(word);
}

function isLocal(url: string | undefined): boolean {
  if (url === undefined || !URL.canParse(url)) return false;
  const { hostname } = new URL(url);
  return (
    hostname === 'localhost' || hostname.endsWith('.localhost') || hostname.startsWith('127.') || hostname === '[::1]'
  );
}
