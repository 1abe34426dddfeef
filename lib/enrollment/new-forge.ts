import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { Prisma, seal, unsafeTransaction } from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { guardOf } from '#lib/forge/index.ts';
import { ForgeUrl } from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { reach } from './connections.ts';
import { connectionIdForm } from './errands.ts';
import { connectionPlace } from './places.ts';
import { RunnerEgress } from './runner-egress.ts';

/*
 * A GitLab or a Forgejo that an operator enters: the vendor's own or one in their own network, with the authority that vouches
 * for its certificate and the way on which runners reach it. It is asked once, through the guard, before it is kept; people then sign in by its OAuth application.
 */

const pemBlock = /^\s*(-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+$/;

export const NewForgeInput = z.strictObject({
  kind: z.enum(['gitlab', 'forgejo']),
  connectionId: z.string().regex(connectionIdForm, 'lower-case letters, digits and hyphens, at most 60'),
  name: z.string().trim().min(1, 'is missing').max(60),
  baseUrl: ForgeUrl,
  clientId: z.string().trim().min(1, 'is missing').max(200),
  clientSecret: z.string().trim().min(1, 'is missing').max(300),
  caBundle: z
    .string()
    .max(100_000)
    .refine((text) => text.trim() === '' || pemBlock.test(text), 'is to be certificates in PEM, and no key')
    .transform((text) => text.trim() || null)
    .default(null),
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

/** GitLab tells its version to nobody who is not signed in, and says so in its own way; Forgejo and Gitea tell everybody. */
const probes = {
  gitlab: { path: '/api/v4/version', fits: (status: number) => status === 401 || status === 200 },
  forgejo: { path: '/api/v1/version', fits: (status: number) => status === 200 },
};
const named = { gitlab: 'GitLab', forgejo: 'Forgejo or Gitea' };

async function assertAnswers({ kind, baseUrl, caBundle }: NewForgeInput): Promise<void> {
  const { path, fits } = probes[kind];
  const empty = { id: '', kind, clientId: '', clientSecret: '' };
  const fetch = guardOf({ ...empty, baseUrl, ...reach(), caBundle: caBundle ?? undefined });
  const answer = await fetch(`${baseUrl}${path}`).catch((error: unknown) => {
    if (!(error instanceof AppError)) throw error;
    const message = `${error.screen.happened} ${error.screen.todo ?? ''}`.trim();
    throw invalidFields({ baseUrl: message }, 'The forge could not be asked.');
  });
  const isJson = answer.headers.get('content-type')?.includes('json') ?? false;
  if (!fits(answer.status) || !isJson)
    throw invalidFields({ baseUrl: `does not answer as ${named[kind]} does` }, 'This is not the forge that was named.');
}
