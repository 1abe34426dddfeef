import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  bazelrc,
  cacheEnv,
  cacheFiles,
  netrc,
  nixConfig,
  TenantSlug,
  ViewLabel,
  viewLabelOf,
  viewName,
  ViewSettings,
} from './index.ts';

const slugs = fc.stringMatching(/^[a-z][a-z0-9-]{0,28}[a-z0-9]$/).filter((slug) => TenantSlug.safeParse(slug).success);
const labels = fc
  .stringMatching(/^[a-z0-9][a-z0-9-]{0,17}[a-z0-9]$/)
  .filter((label) => ViewLabel.safeParse(label).success);

describe('names of views', () => {
  test('A16, A22: are Attic’s, and no tenant’s is another’s or begins as another’s does', () => {
    fc.assert(
      fc.property(slugs, slugs, labels, labels, (a, b, x, y) => {
        const [one, other] = [viewName(a, x), viewName(b, y)];
        expect(one).toMatch(/^[A-Za-z0-9][A-Za-z0-9_+-]{0,49}$/);
        expect(viewLabelOf(one)).toBe(x);
        fc.pre(a !== b);
        expect(one).not.toBe(other);
        expect(other.startsWith(viewName(a, ''))).toBe(false);
      }),
    );
  });

  test.each(['main', 'pull-requests', 'a+b', '*', 'Main', '-a', 'a-', 'a b', 'ä', '', 'a'.repeat(20), '../x', 'a\n'])(
    '%j is none that a person gives',
    (label) => expect(ViewLabel.safeParse(label).success).toBe(false),
  );
});

test.each([
  [{ priority: -1 }],
  [{ priority: 1.5 }],
  [{ upstreamKeys: ['a b'] }],
  [{ upstreamKeys: ['a\nb'] }],
  [{ retentionSeconds: -1 }],
  [{ retentionSeconds: 2 ** 31 }],
])('Attic would not keep %j', (change) => {
  const good = { isPublic: false, priority: 41, upstreamKeys: ['cache.nixos.org-1'], retentionSeconds: 2 ** 31 - 1 };
  expect(ViewSettings.safeParse(good).success).toBe(true);
  expect(ViewSettings.safeParse({ ...good, ...change }).success).toBe(false);
});

describe('what a client is told', () => {
  const substituters = [
    { url: 'https://attic.example:8443/acme+main', publicKey: 'acme+main:AA=' },
    { url: 'https://attic.example:8443/acme+x', publicKey: 'acme+x:BB=' },
  ];
  const attic = { server: 'https://attic.example:8443', view: 'acme+main', token: 'a.b.c', substituters };
  const login = { user: 'runner', password: 'secret' };
  const bazel = { url: 'http://bazel-remote.bazel-acme.svc:8080', login };

  test('is the same in the environment and in files', () => {
    expect(cacheEnv({ attic, bazel })).toEqual({
      ATTIC_SERVER: 'https://attic.example:8443',
      ATTIC_CACHE: 'acme+main',
      ATTIC_TOKEN: 'a.b.c',
      NIX_CONFIG: [
        'extra-substituters = https://attic.example:8443/acme+main https://attic.example:8443/acme+x',
        'extra-trusted-public-keys = acme+main:AA= acme+x:BB=',
        'netrc-file = /flywheel/cache/netrc',
      ].join('\n'),
      NETRC: '/flywheel/cache/netrc',
      BAZEL_REMOTE_CACHE: 'http://runner:secret@bazel-remote.bazel-acme.svc:8080',
      FLYWHEEL_BAZELRC: '/flywheel/cache/bazelrc',
    });
    expect(cacheFiles({ attic, bazel })).toEqual({ netrc: netrc(attic), bazelrc: bazelrc(bazel) });
    expect(cacheEnv({})).toEqual({});
    expect(cacheFiles({})).toEqual({});
  });

  test('names a host without a port, since netrc knows none', () => {
    expect(netrc(attic)).toBe('machine attic.example\nlogin flywheel\npassword a.b.c\n');
  });

  test('says to Bazel that it may not write where it may not', () => {
    expect(bazelrc(bazel)).toContain('--remote_upload_local_results=true');
    expect(bazelrc({ url: bazel.url })).toBe(
      'build --remote_cache=http://bazel-remote.bazel-acme.svc:8080\nbuild --remote_upload_local_results=false\n',
    );
  });

  test('is for a laptop without what only a pod has', () => {
    expect(nixConfig(substituters)).not.toContain('/flywheel');
  });
});
