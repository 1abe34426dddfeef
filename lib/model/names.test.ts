import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EnrollmentName, enrollmentNameOf } from './enrollment.ts';
import { labelOf, ScaleSetName, scaleSetNameLengthMax, workflowSnippet } from './label.ts';
import { atticViewName } from './plane.ts';
import { defaultPools, PoolName } from './pool.ts';
import {
  mayHaveParent,
  namespacesOf,
  needsParent,
  tenantKinds,
  TenantName,
  TenantSlug,
  type TenantKind,
} from './tenant.ts';

/** A16: what somebody types who would like to reach another's namespace, or another line of a document. */
const hostile = {
  'a path upwards': '../kube-system',
  'another document': 'a"\nkind: ClusterRoleBinding',
  'a line end after a good name': 'acme\n',
  'a carriage return': 'acme\r',
  '300 characters': 'a'.repeat(300),
  'a Cyrillic а': 'аcme',
  'a full-width letter': 'ａcme',
  'a dotless ı': 'acme-ı',
  'a right-to-left override': 'acme‮',
  'a zero-width joiner': 'ac‍me',
  'a NUL': 'acme\0',
  'a space': 'acme inc',
  'an upper-case letter': 'Acme',
  'a slash': 'acme/kube-system',
  'an encoded slash': 'acme%2f',
  'a dot': 'acme.inc',
  'an underscore': 'acme_inc',
  'a quote': "acme'",
  'a variable': '${HOME}',
  'a hyphen first': '-acme',
  'a hyphen last': 'acme-',
  'a digit first': '1acme',
  nothing: '',
};

const letters = fc.constantFrom(...'abcdeikubmnzxy0189--'.split(''));
const nameOf = (most: number) => fc.string({ unit: letters, minLength: 1, maxLength: most });
const slugs = nameOf(30).filter((slug) => TenantSlug.safeParse(slug).success);
const poolNames = nameOf(20).filter((name) => PoolName.safeParse(name).success);
const anyText = (most: number) =>
  fc.array(fc.nat(0x10_ff_ff), { maxLength: most }).map((points) => String.fromCodePoint(...points));
const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

describe('A16: names that reach the cluster', () => {
  for (const [name, schema] of Object.entries({ TenantSlug, PoolName, EnrollmentName })) {
    test.each(Object.entries(hostile))(`${name} refuses %s`, (_, text) => {
      expect(schema.safeParse(text).success).toBe(false);
    });

    test(`${name} lets nothing through but lower-case ASCII, digits and hyphens`, () => {
      const nearly = fc
        .tuple(slugs, fc.nat(30), anyText(2))
        .map(([slug, at, more]) => slug.slice(0, at) + more + slug.slice(at));
      fc.assert(
        fc.property(fc.oneof(nearly, anyText(10)), (text) => {
          expect(!schema.safeParse(text).success || /^[a-z][a-z0-9-]*(?<!-)$/.test(text)).toBe(true);
        }),
      );
    });

    test.each([null, undefined, 7, true, ['acme'], { not: '' }])(`${name} refuses %j`, (value) => {
      expect(schema.safeParse(value).success).toBe(false);
    });
  }

  test.each([
    'kube-system',
    'kube-public',
    'default',
    'operator',
    'flywheel',
    'system',
    'admin',
    'new',
    'enroll',
    'api',
  ])('no tenant is called %s', (slug) => expect(TenantSlug.safeParse(slug).success).toBe(false));

  test('no pool is called as Kubernetes’ own are', () => expect(PoolName.safeParse('kube-proxy').success).toBe(false));

  test('lengths: 30 for a slug, 20 for a pool, 45 for an enrollment', () => {
    const lengths: [typeof TenantSlug, number][] = [
      [TenantSlug, 30],
      [PoolName, 20],
      [EnrollmentName, 45],
    ];
    for (const [schema, most] of lengths) {
      expect(schema.safeParse('a'.repeat(most)).success).toBe(true);
      expect(schema.safeParse('a'.repeat(most + 1)).success).toBe(false);
    }
  });

  test('no two tenants, and no two parts of one, share a namespace, and each is a DNS label', () => {
    fc.assert(
      fc.property(slugs, slugs, (one, other) => {
        const names = Object.values(namespacesOf(one));
        for (const name of names) expect(name).toMatch(dnsLabel);
        expect(new Set(names).size).toBe(3);
        const theirs = new Set(Object.values(namespacesOf(other)));
        expect(names.filter((name) => theirs.has(name))).toEqual(one === other ? names : []);
        expect(names.some((name) => /^(kube-|default$|arc-)/.test(name))).toBe(false);
      }),
    );
  });

  test('not even a tenant that is called as another’s part would be', () => {
    const slugsOfAcme = ['acme', 'acme-bazel', 'bazel-acme', 'acme-dind', 'dind-acme', 'runners-acme', 'acme-runners'];
    const names = slugsOfAcme.flatMap((slug) => Object.values(namespacesOf(slug)));
    expect(new Set(names).size).toBe(3 * slugsOfAcme.length);
  });

  test('a cache view tells its tenant by what no slug may contain, and Attic takes the name', () => {
    fc.assert(
      fc.property(slugs, (slug) => {
        expect(atticViewName(slug)).toMatch(/^[A-Za-z0-9][A-Za-z0-9-_+]{0,49}$/);
        expect(atticViewName(slug).split('+')).toEqual([slug, 'main']);
      }),
    );
  });
});

describe('names that people read', () => {
  test.each(['acme‮gpj', 'ac‍me', 'ac\0me', 'ac\nme', '﻿', '   ', '', 'a'.repeat(81), '\ud800'])(
    '%j is refused',
    (name) => {
      expect(TenantName.safeParse(name).success).toBe(false);
    },
  );

  test.each(['Tinyland', 'Société Générale', '東京', 'O’Neill & Sons (UK)', 'a'.repeat(80)])('%s is kept', (name) => {
    expect(TenantName.parse(` ${name} `)).toBe(name);
  });
});

describe('the label rule', () => {
  test.each([
    [{ slug: 'tinyland-inc', isDefault: true }, 'nix', 'nix'],
    [{ slug: 'tinyland-inc', isDefault: true }, 'nix-heavy', 'nix-heavy'],
    [{ slug: 'cmux', isDefault: false }, 'nix', 'cmux-nix'],
    [{ slug: 'cmux', isDefault: false }, 'docker', 'cmux-docker'],
  ])('%o and %s make %s', (tenant, pool, label) => expect(labelOf(tenant, pool)).toBe(label));

  test('the longest slug with the longest of the five pools stays within a scale set’s 45', () => {
    for (const { name } of defaultPools) {
      const label = labelOf({ slug: 'a'.repeat(30), isDefault: false }, name);
      expect(ScaleSetName.safeParse(label).success).toBe(true);
    }
  });

  test('46 characters are refused, which the longest slug and pool make together', () => {
    expect(scaleSetNameLengthMax).toBe(45);
    expect(ScaleSetName.safeParse('a'.repeat(45)).success).toBe(true);
    expect(ScaleSetName.safeParse('a'.repeat(46)).success).toBe(false);
    expect(ScaleSetName.safeParse('').success).toBe(false);
    const longest = labelOf({ slug: 'a'.repeat(30), isDefault: false }, 'b'.repeat(20));
    expect(ScaleSetName.safeParse(longest).success).toBe(false);
  });

  test('a workflow names the label as it is', () => {
    fc.assert(
      fc.property(slugs, poolNames, fc.boolean(), (slug, pool, isDefault) => {
        const label = labelOf({ slug, isDefault }, pool);
        for (const kind of ['github', 'forgejo'] as const)
          expect(workflowSnippet(kind, label).split('\n')).toContain(`    runs-on: ${label}`);
        expect(workflowSnippet('gitlab', label)).toContain(`  tags:\n    - ${label}\n`);
        expect(label).toMatch(/^[a-z][a-z0-9-]*$/);
      }),
    );
  });
});

describe('enrollment names', () => {
  test.each([
    ['Tinyland-Inc/My.Repo', 'my-repo'],
    ['JessSullivan/cmux', 'cmux'],
    ['acme', 'acme'],
    ['acme/123', 'scope'],
    ['acme/1-App_2', 'app-2'],
    ['', 'scope'],
    ['acme/.github', 'github'],
  ])('%j is called %s', (path, name) => expect(enrollmentNameOf(path)).toBe(name));

  test('whatever the forge calls it, the name fits', () => {
    const paths = fc.oneof(anyText(200), fc.stringMatching(/^[A-Za-z0-9_.-]{1,100}$/));
    fc.assert(
      fc.property(paths, (path) => {
        expect(EnrollmentName.safeParse(enrollmentNameOf(path)).success).toBe(true);
      }),
    );
  });
});

describe('tenants within tenants', () => {
  const allowed: [TenantKind, TenantKind][] = [
    ['team', 'organization'],
    ['team', 'managed_customer'],
    ['organization', 'enterprise'],
  ];

  test('a team is within an organization or a managed customer, an organization within an enterprise, and no other', () => {
    const pairs = tenantKinds.flatMap((kind) => tenantKinds.map((parent) => [kind, parent] as const));
    expect(pairs.filter(([kind, parent]) => mayHaveParent(kind, parent))).toEqual(allowed);
  });

  test('only a team cannot stand alone', () => expect(tenantKinds.filter(needsParent)).toEqual(['team']));

  test('no tenant is its own ancestor', () => {
    const above = (kind: TenantKind): TenantKind[] =>
      tenantKinds.filter((parent) => mayHaveParent(kind, parent)).flatMap((parent) => [parent, ...above(parent)]);
    for (const kind of tenantKinds) expect(above(kind)).not.toContain(kind);
  });
});
