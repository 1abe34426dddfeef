import type { EnrollmentInput } from '#lib/cluster/index.ts';
import {
  bazelServiceUrl,
  cacheEnv,
  cacheFiles,
  type AtticAccess,
  type EnrollmentSpec,
  type ViewTrust,
} from '#lib/model/index.ts';

export type BazelLogin = { user: string; password: string };
/** What runners are given, and what the cache takes beside it while one login follows another. */
export type BazelAccess = BazelLogin & { also: BazelLogin[] };

/** What an enrollment needs to know of its secrets before its objects can be built. */
export type Secrets = {
  attic?: AtticSecrets | undefined;
  bazel?: BazelAccess | undefined;
};

/** For trusted jobs, and for those of pools that are not trusted, where the enrollment has any. */
export type AtticSecrets = { trusted: AtticAccess; untrusted?: AtticAccess | undefined };

/** Of the first login; each that follows has a user of its own. */
export const firstBazelUser = 'runner';

/** A view of the tenant's that is at its server. */
export type KnownView = { name: string; trust: ViewTrust; url: string; publicKey: string };

/**
 * What a job's token may do: push where its own kind pushes. Who is not trusted also reads what trusted jobs made; these read
 * nothing of the others, or a pull request could have its own build taken for theirs.
 */
export function viewScope(views: readonly KnownView[], trust: ViewTrust): Record<string, 'r' | 'rw'> {
  const readable = trust === 'untrusted' ? views : views.filter((view) => view.trust === trust);
  return Object.fromEntries(readable.map((view) => [view.name, view.trust === trust ? 'rw' : 'r']));
}

/** `first` is pushed to, and asked first. */
export function atticAccess(
  views: readonly KnownView[],
  trust: ViewTrust,
  { server, token, first }: { server: string; token: string; first: string },
): AtticAccess {
  const scope = viewScope(views, trust);
  const readable = views.filter(({ name }) => name in scope);
  const ordered = readable.toSorted(
    (a, b) => rank(a, trust, first) - rank(b, trust, first) || (a.name < b.name ? -1 : 1),
  );
  return { server, view: first, token, substituters: ordered.map(({ url, publicKey }) => ({ url, publicKey })) };
}

function rank(view: KnownView, trust: ViewTrust, first: string): number {
  if (view.name === first) return 0;
  return view.trust === trust ? 1 : 2;
}

/** What jobs are told of the caches: those of pools that are not trusted read Bazel without a login, since every login writes. */
export function cacheInput(
  slug: string,
  { planes }: Pick<EnrollmentSpec, 'planes'>,
  { attic, bazel }: Secrets,
): Pick<EnrollmentInput, 'cacheEnv' | 'cacheFiles' | 'untrusted'> {
  const url = bazelServiceUrl(slug);
  const trusted = {
    attic: attic?.trusted,
    bazel: bazel && { url, login: { user: bazel.user, password: bazel.password } },
  };
  const untrusted = { attic: attic?.untrusted, bazel: bazel && { url } };
  const pools = planes.untrusted ?? [];
  return {
    cacheEnv: cacheEnv(trusted),
    cacheFiles: cacheFiles(trusted),
    untrusted:
      pools.length === 0 ? undefined : { pools, cacheEnv: cacheEnv(untrusted), cacheFiles: cacheFiles(untrusted) },
  };
}
