import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { AppError, invalidFields } from '../errors.ts';
import { amountsOf, type EnrollmentDocument, type TenantDocument } from '../model/index.ts';
import type { EnrollmentLook, TenantLook } from './look.ts';
import type { Portal } from './portal.ts';
import { Applied, Forge, Request } from './shapes.ts';
import { UsageError } from './terminal.ts';

/* What is in a document and not in the portal yet: tenants, quotas and enrollments are begun there, and nothing outside is written by it. */

/** What became of it. */
export type Begun = { words: string; waits: boolean };

/** A team begins at once; an enterprise and a managed customer are asked for; an organization comes with its first enrollment. */
export async function beginTenant(portal: Portal, { metadata, spec }: TenantDocument): Promise<Begun> {
  const { name: slug } = metadata;
  const { kind, parent, quota } = spec;
  const body = { kind, slug, displayName: slug, quota, ...(parent === undefined ? {} : { parent }) };
  await portal.change('POST', '/tenants', body, z.object({ slug: z.string() }));
  return kind === 'team'
    ? { words: 'begun', waits: false }
    : { words: 'asked for; it waits for an operator', waits: true };
}

/** Less, and no more than anybody gets, is had at once; more waits for an operator, and is asked for once. */
export async function changeQuota(portal: Portal, { metadata, spec }: TenantDocument, note: string): Promise<Begun> {
  const path = `/tenants/${metadata.name}`;
  const { items } = await portal.list(`${path}/requests`, Request, 200);
  const asked = items.find(
    ({ kind, state, wanted }) =>
      kind === 'quota' &&
      ['open', 'asked_back'].includes(state) &&
      wanted.quota !== undefined &&
      isDeepStrictEqual(amountsOf(wanted.quota), amountsOf(spec.quota)),
  );
  if (asked) return { words: `quota waits for an operator: request ${asked.id}`, waits: true };
  const { requestId } = await portal.change('POST', `${path}/quota`, { quota: spec.quota, note }, Applied);
  if (requestId === null) return { words: 'quota changed', waits: false };
  return { words: `quota waits for an operator: request ${requestId}`, waits: true };
}

/** Files of access tokens by the enrollment that is begun with one, as `acme/site=FILE`. */
export function tokenFiles(given: readonly string[] | undefined): Map<string, string> {
  return new Map(
    (given ?? []).map((text) => {
      const [, name, file] = /^([^/=]+\/[^/=]+)=(.+)$/.exec(text) ?? [];
      if (name === undefined || file === undefined)
        throw new UsageError(`--token-for is TENANT/ENROLLMENT=FILE, and ${text} is not.`);
      return [name, file];
    }),
  );
}

export async function beginEnrollment(
  portal: Portal,
  { document, name }: EnrollmentLook,
  tenant: TenantLook,
  tokens: ReadonlyMap<string, string>,
): Promise<string> {
  const { scope, forge } = document.spec;
  const file = tokens.get(name);
  const Started = z.object({ enrollment: z.string() });
  const body = {
    connectionId: await connectionOf(portal, document),
    level: scope.level,
    path: scope.path,
    name: document.metadata.name,
    tenant: startedIn(document, tenant),
    ...(file === undefined ? {} : { token: readFileSync(file, 'utf8').trim() }),
  };
  try {
    return (await portal.change('POST', '/enrollments', body, Started)).enrollment;
  } catch (error) {
    const wantsToken = error instanceof AppError && error.screen.fields?.['token'] !== undefined && file === undefined;
    if (!wantsToken) throw error;
    throw invalidFields(
      { [name]: `is begun by an access token of ${forge}: --token-for ${name}=FILE` },
      error.screen.happened,
    );
  }
}

function startedIn({ metadata }: EnrollmentDocument, { present, document }: TenantLook): object {
  const { tenant: slug } = metadata;
  if (present) return { slug };
  if (document?.spec.kind === 'organization') return { new: { slug, displayName: slug, kind: 'organization' } };
  // Begun a moment ago.
  return { slug };
}

/** The forge that the scope is at, as an operator has entered it. */
async function connectionOf(portal: Portal, { spec }: EnrollmentDocument): Promise<string> {
  const { items } = await portal.list('/forges', Forge);
  const found = items.find(({ baseUrl }) => baseUrl.replace(/\/+$/, '') === spec.scope.forge);
  if (found?.kind === spec.forge) return found.id;
  const known = items.map(({ baseUrl, kind }) => `${baseUrl} (${kind})`).join(', ');
  throw invalidFields(
    { 'spec.scope.forge': `${spec.scope.forge} is no ${spec.forge} that this portal knows; it knows ${known}` },
    'The scope is at no forge of this portal.',
  );
}
