import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  forgeKinds,
  ForgeUrl,
  isLevelOf,
  levelsOf,
  samePath,
  Scope,
  scopeContains,
  scopeLevels,
  scopeUrl,
} from './scope.ts';

const forge = 'https://github.com';
const scope = (level: Scope['level'], path: string, at = forge): Scope => ({ forge: at, level, path });

describe('levels', () => {
  test('each forge has its own', () => {
    expect(levelsOf).toEqual({
      github: ['repository', 'organization', 'enterprise'],
      gitlab: ['project', 'group', 'instance'],
      forgejo: ['repository', 'organization', 'account'],
    });
    for (const kind of forgeKinds)
      expect(scopeLevels.filter((level) => isLevelOf(kind, level)).toSorted()).toEqual([...levelsOf[kind]].toSorted());
  });
});

describe('forge addresses', () => {
  test.each(['https://github.com', 'https://github.com/', 'https://git.example.org:8443', 'http://127.0.0.1:4000//'])(
    '%s is one',
    (url) => expect(ForgeUrl.parse(url)).toBe(url.replace(/\/+$/, '')),
  );

  test.each([
    '',
    'github.com',
    'https://',
    'https://user@github.com',
    'https://user:pw@github.com',
    'https://github.com/x',
    'https://github.com?x',
    'https://github.com#x',
    'file:///etc',
    'gopher://github.com',
    'ssh://github.com',

    'javascript:alert(1)',
    'https://GitHub.com',
    'https://github.com:443',
    ' https://github.com',
    'https://github.com\n',
    'https://github.com\\@evil.example',
    'https://gıthub.com',
    `https://${'a'.repeat(300)}.com`,
  ])('%j is none', (url) => expect(ForgeUrl.safeParse(url).success).toBe(false));
});

describe('paths', () => {
  const deep = (segments: number) => Array.from({ length: segments }, () => 'g').join('/');
  test.each<[Scope['level'], string]>([
    ['repository', 'JessSullivan/cmux'],
    ['repository', 'tinyland-inc/.github'],
    ['organization', 'tinyland-inc'],
    ['enterprise', 'tinyland'],
    ['account', 'JessSullivan'],
    ['instance', ''],
    ['project', 'group/project'],
    ['project', deep(21)],
    ['group', deep(20)],
  ])('a %s may be at %j', (level, path) => expect(Scope.parse(scope(level, path)).path).toBe(path));

  test.each<[Scope['level'], string]>([
    ['repository', 'cmux'],
    ['repository', 'a/b/c'],
    ['repository', ''],
    ['organization', 'a/b'],
    ['organization', ''],
    ['enterprise', 'enterprises/a'],
    ['instance', 'a'],
    ['project', 'a'],
    ['project', deep(22)],
    ['group', deep(21)],
    ['repository', 'a/..'],
    ['repository', '../kube-system'],
    ['repository', './a'],
    ['repository', 'a//b'],
    ['repository', '/a/b'],
    ['repository', 'a/b/'],
    ['repository', 'a/b?x'],
    ['repository', 'a/b#x'],
    ['repository', 'a/b%2fc'],
    ['repository', 'a/b\n'],
    ['repository', 'a/-b'],
    ['repository', 'a/b c'],
    ['repository', 'a/b\0'],
    ['repository', 'а/b'],
    ['organization', 'a'.repeat(101)],
  ])('a %s may not be at %j (A16)', (level, path) => {
    const issues = Scope.safeParse(scope(level, path)).error?.issues.map((issue) => issue.path.join('.'));
    expect(issues).toEqual(['path']);
  });

  test('a scope has no other field', () => {
    expect(Scope.safeParse({ ...scope('organization', 'a'), token: 'x' }).success).toBe(false);
  });

  test('the address of a scope has the scope’s path and no other', () => {
    const paths = fc.stringMatching(/^[A-Za-z0-9_.-]{1,20}(\/[A-Za-z0-9_.-]{1,20}){0,3}$/);
    fc.assert(
      fc.property(fc.constantFrom(...scopeLevels), paths, (level, path) => {
        const parsed = Scope.safeParse(scope(level, path));
        fc.pre(parsed.success);
        const url = new URL(scopeUrl(scope(level, path)));
        expect(url.origin).toBe(forge);
        expect(url.pathname).toBe(level === 'enterprise' ? `/enterprises/${path}` : `/${path}`);
      }),
    );
    expect(scopeUrl(scope('instance', ''))).toBe(forge);
  });
});

describe('a scope within a scope', () => {
  test.each([
    [scope('organization', 'acme'), scope('repository', 'acme/app'), true],
    [scope('organization', 'Acme'), scope('repository', 'aCME/app'), true],
    [scope('group', 'acme'), scope('project', 'acme/sub/app'), true],
    [scope('group', 'acme'), scope('group', 'acme/sub'), true],
    [scope('instance', ''), scope('project', 'acme/app'), true],
    [scope('account', 'ada'), scope('repository', 'ada/app'), true],
    [scope('repository', 'acme/app'), scope('repository', 'ACME/app'), true],
    [scope('organization', 'acme'), scope('repository', 'acme-inc/app'), false],
    [scope('organization', 'acme'), scope('organization', 'acme-inc'), false],
    [scope('repository', 'acme/app'), scope('organization', 'acme'), false],
    [scope('repository', 'acme/app'), scope('repository', 'acme/app2'), false],
    [scope('organization', 'acme'), scope('repository', 'acme/app', 'https://git.example.org'), false],
    [scope('instance', '', 'https://git.example.org'), scope('repository', 'acme/app'), false],
    // Which organizations an enterprise has, its path does not tell.
    [scope('enterprise', 'acme'), scope('organization', 'acme'), false],
    [scope('enterprise', 'acme'), scope('repository', 'acme/app'), false],
  ])('%o, %o: %s', (outer, inner, within) => expect(scopeContains(outer, inner)).toBe(within));

  const segment = fc.stringMatching(/^[A-Za-z0-9]{1,3}$/);
  const groups = fc.array(segment, { minLength: 1, maxLength: 4 }).map((parts) => scope('group', parts.join('/')));

  test('contains itself, and what is within what it contains', () => {
    fc.assert(
      fc.property(groups, (each) => {
        expect(scopeContains(each, each)).toBe(true);
      }),
    );
    fc.assert(
      fc.property(groups, segment, segment, (outer, middle, inner) => {
        const within = scope('group', `${outer.path}/${middle}`);
        expect(scopeContains(outer, scope('group', `${within.path}/${inner}`))).toBe(true);
        expect(scopeContains(within, outer)).toBe(false);
      }),
    );
  });

  test('both contain each other only where they are the same', () => {
    fc.assert(
      fc.property(groups, groups, (one, other) => {
        const both = scopeContains(one, other) && scopeContains(other, one);
        expect(both).toBe(samePath(one.path, other.path));
      }),
    );
  });
});
