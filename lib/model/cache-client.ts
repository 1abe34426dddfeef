import { namespacesOf } from './tenant.ts';

/* What a client of the caches is told, in the words of the programs that read it: the same in a runner's pod and on a laptop. */

export type Substituter = { url: string; publicKey: string };

export type AtticAccess = {
  /** Where Attic's API answers. */
  server: string;
  /** The view that is pushed to. */
  view: string;
  token: string;
  /** All views that are read, the one that is pushed to first. */
  substituters: readonly Substituter[];
};

/** Without a login it reads and cannot write. */
export type BazelEndpoint = { url: string; login?: { user: string; password: string } | undefined };

/** The folder of a runner's container in which its cache files lie alone. */
export const cacheFolder = '/flywheel/cache';
const netrcFile = `${cacheFolder}/netrc`;
const bazelrcFile = `${cacheFolder}/bazelrc`;

const bazelHttpPort = 8080;

/** Inside the cluster, over HTTP. */
export function bazelServiceUrl(slug: string): string {
  return `http://bazel-remote.${namespacesOf(slug).bazel}.svc:${bazelHttpPort}`;
}

/** Attic takes the token as the password and reads no login (token/src: Basic); netrc has no ports. */
export function netrc({ server, token }: Pick<AtticAccess, 'server' | 'token'>): string {
  const host = URL.canParse(server) ? new URL(server).hostname : server;
  return `machine ${host}\nlogin flywheel\npassword ${token}\n`;
}

/** Of nix.conf and of NIX_CONFIG. */
export function nixConfig(substituters: readonly Substituter[], netrcPath?: string): string {
  return [
    `extra-substituters = ${substituters.map(({ url }) => url).join(' ')}`,
    `extra-trusted-public-keys = ${substituters.map(({ publicKey }) => publicKey).join(' ')}`,
    ...(netrcPath === undefined ? [] : [`netrc-file = ${netrcPath}`]),
  ].join('\n');
}

export function bazelAddress({ url, login }: BazelEndpoint): string {
  if (!login) return url;
  return url.replace('://', `://${login.user}:${login.password}@`);
}

/** Who may not write says so, or Bazel would try, and warn at each action. */
export function bazelrc(endpoint: BazelEndpoint): string {
  return [
    `build --remote_cache=${bazelAddress(endpoint)}`,
    `build --remote_upload_local_results=${endpoint.login ? 'true' : 'false'}`,
    '',
  ].join('\n');
}

export type CacheAccess = { attic?: AtticAccess | undefined; bazel?: BazelEndpoint | undefined };

/** The environment by which jobs find the caches. */
export function cacheEnv({ attic, bazel }: CacheAccess): Record<string, string> {
  return {
    ...(attic
      ? {
          ATTIC_SERVER: attic.server,
          ATTIC_CACHE: attic.view,
          ATTIC_TOKEN: attic.token,
          NIX_CONFIG: nixConfig(attic.substituters, netrcFile),
          NETRC: netrcFile,
        }
      : {}),
    ...(bazel ? { BAZEL_REMOTE_CACHE: bazelAddress(bazel), FLYWHEEL_BAZELRC: bazelrcFile } : {}),
  };
}

/** The same in files, by their names in `cacheFolder`; a kubelet renews them in pods that already run. */
export function cacheFiles({ attic, bazel }: CacheAccess): Record<string, string> {
  return { ...(attic ? { netrc: netrc(attic) } : {}), ...(bazel ? { bazelrc: bazelrc(bazel) } : {}) };
}
