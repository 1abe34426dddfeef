import { namespacesOf } from '#lib/model/index.ts';

export type BazelLogin = { user: string; password: string };
/** What runners are given, and what the cache takes beside it while one login follows another. */
export type BazelAccess = BazelLogin & { also: BazelLogin[] };

/** What an enrollment needs to know of its secrets before its objects can be built. */
export type Secrets = {
  attic?: { server: string; view: string; token: string; substituterUrl: string; publicKey: string } | undefined;
  bazel?: BazelAccess | undefined;
};

/** Of the first login; each that follows has a user of its own. */
export const firstBazelUser = 'runner';
const bazelHttpPort = 8080;

/** The environment by which runners find the caches. */
export function cacheEnv(slug: string, secrets: Pick<Secrets, 'attic' | 'bazel'>): Record<string, string> {
  const { attic, bazel } = secrets;
  return {
    ...(attic
      ? {
          ATTIC_SERVER: attic.server,
          ATTIC_CACHE: attic.view,
          ATTIC_TOKEN: attic.token,
          NIX_CONFIG: [
            `extra-substituters = ${attic.substituterUrl}`,
            `extra-trusted-public-keys = ${attic.publicKey}`,
          ].join('\n'),
        }
      : {}),
    ...(bazel
      ? {
          BAZEL_REMOTE_CACHE: `http://${bazel.user}:${bazel.password}@bazel-remote.${namespacesOf(slug).bazel}.svc:${bazelHttpPort}`,
        }
      : {}),
  };
}
