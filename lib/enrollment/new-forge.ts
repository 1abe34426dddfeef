import { randomBytes, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { Prisma, seal, unsafeTransaction } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { githubApiUrl, guardOf } from '#lib/forge/index.ts';
import { ForgeUrl, type ForgeKind } from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { reach } from './connections.ts';
import { connectionIdForm } from './errands.ts';
import { connectionPlace } from './places.ts';
import { RunnerEgress } from './runner-egress.ts';

/*
 * A GitLab or a Forgejo that an operator enters: the vendor's own or one in their own network, with the authority that vouches
 * for its certificate and the way on which runners reach it. It is asked once, through the guard, before it is kept, and so is a GitHub before its App is made; people then sign in by its OAuth application.
 */

const pemBlock = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----/g;

function isCertificates(text: string): boolean {
  if (text.trim() === '') return true;
  const blocks = text.match(pemBlock) ?? [];
  return blocks.length > 0 && text.replaceAll(pemBlock, '').trim() === '' && blocks.every(isCertificate);
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject !== '';
  } catch {
    return false;
  }
}

/** PEM of the authorities that vouch for a forge's certificate; nothing is none. */
export const CaBundle = z
  .string()
  .max(100_000)
  .refine(isCertificates, 'is to be certificates in PEM, and no key')
  .transform((text) => text.trim() || null)
  .nullable()
  .default(null);

export const NewForgeInput = z.strictObject({
  kind: z.enum(['gitlab', 'forgejo']),
  connectionId: z.string().regex(connectionIdForm, 'lower-case letters, digits and hyphens, at most 60'),
  name: z.string().trim().min(1, 'is missing').max(60),
  baseUrl: ForgeUrl,
  clientId: z.string().trim().min(1, 'is missing').max(200),
  clientSecret: z.string().trim().min(1, 'is missing').max(300),
  caBundle: CaBundle,
  runnerEgress: RunnerEgress.default(null),
});
export type NewForgeInput = z.output<typeof NewForgeInput>;

/** Where the forge sends people back to: what its OAuth application must be given, letter by letter. */
export function callbackUrl(connectionId: string): string {
  return `${env().PORTAL_URL}/api/auth/callback/${connectionId}`;
}

export async function addForge(by: PersonCtx, input: NewForgeInput): Promise<void> {
  if (!by.person.isOperator) throw notFound();
  await assertAnswers(input);
  const { kind, connectionId: id, name, baseUrl, clientId, clientSecret, caBundle, runnerEgress } = input;
  const sealedClientSecret = await seal(clientSecret, connectionPlace(id, 'client_secret'));
  const webhookSecret = randomBytes(32).toString('base64url');
  const sealedWebhookSecret = await seal(webhookSecret, connectionPlace(id, 'webhook_secret'));
  await unsafeTransaction(async (tx) => {
    await tx.forgeConnection.create({
      data: { id, kind, name, baseUrl, clientId, sealedClientSecret, sealedWebhookSecret, caBundle, runnerEgress },
    });
    await appendAudit(tx, by, null, {
      action: 'forge:add',
      target: `forge/${id}`,
      after: { kind, name, baseUrl, ownAuthority: caBundle !== null, runnerEgress },
    });
  }).catch(asTaken);
}

function asTaken(error: unknown): never {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') throw error;
  const isUrl = JSON.stringify(error.meta ?? {}).includes('base_url');
  throw invalidFields(isUrl ? { baseUrl: 'is entered already' } : { connectionId: 'is taken' });
}

/**
 * What each answers whom it does not know, as JSON. GitLab tells its version to nobody who is not signed in, and says so in its
 * own way; Forgejo and Gitea tell everybody; a GitHub in private mode, or one that has been asked too often, refuses.
 */
const probes: Record<ForgeKind, { named: string; url: (baseUrl: string) => string; statuses: readonly number[] }> = {
  github: { named: 'GitHub', url: (baseUrl) => `${githubApiUrl(baseUrl)}/meta`, statuses: [200, 401, 403, 429] },
  gitlab: { named: 'GitLab', url: (baseUrl) => `${baseUrl}/api/v4/version`, statuses: [200, 401] },
  forgejo: { named: 'Forgejo or Gitea', url: (baseUrl) => `${baseUrl}/api/v1/version`, statuses: [200] },
};

type ForgeAddress = { kind: ForgeKind; baseUrl: string; caBundle: string | null };

/** Asks it once, as it would be asked from then on; `invalid` at the field that is to blame where it does not answer. */
export async function assertAnswers(
  address: ForgeAddress,
  field: 'baseUrl' | 'caBundle' | 'organization' = 'baseUrl',
): Promise<void> {
  const { kind, baseUrl, caBundle } = address;
  const { named, url, statuses } = probes[kind];
  const empty = { id: '', kind, clientId: '', clientSecret: '' };
  const fetch = guardOf({ ...empty, baseUrl, ...reach(), caBundle: caBundle ?? undefined });
  const answer = await fetch(url(baseUrl)).catch((error: unknown) => {
    if (!(error instanceof AppError)) throw error;
    const message = `${error.screen.happened} ${error.screen.todo ?? ''}`.trim();
    throw invalidFields({ [field]: message }, 'The forge could not be asked.');
  });
  const isJson = answer.headers.get('content-type')?.includes('json') ?? false;
  if (!statuses.includes(answer.status) || !isJson)
    throw invalidFields({ [field]: `does not answer as ${named} does` }, 'This is not the forge that was named.');
}
