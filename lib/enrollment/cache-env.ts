import { namespacesOf } from '#lib/model/index.ts';
import type { BazelAccess } from './credentials.ts';

/** What an enrollment needs to know of its secrets before its objects can be built. */
export type Secrets = {
  attic?: { server: string; view: string; token: string; substituterUrl: string; publicKey: string } | undefined;
  bazel?: BazelAccess | undefined;
};

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
