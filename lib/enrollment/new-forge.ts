import { randomBytes, X509Certificate } from 'node:crypto';
import { z } from 'zod';
import {
  open,
  Prisma,
  seal,
  unsafeDb,
  unsafeTransaction,
  type ForgeConnectionModel,
  type UnsafeTx,
} from '#lib/db/index.ts';
import { env } from '#lib/env.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { githubApiUrl, guardOf } from '#lib/forge/index.ts';
import { ForgeUrl, type ForgeKind } from '#lib/model/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { reach } from './connections.ts';
import { connectionIdForm } from './errands.ts';
import { connectionPlace } from './places.ts';
import { RunnerEgress } from './runner-egress.ts';
import { wakeServedBy } from './served.ts';

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

/** An App that was made at GitHub by hand: making it in one click, on the page, wants somebody who is signed in. */
const NewGithubInput = NewForgeInput.extend({
  kind: z.literal('github'),
  appId: z.coerce.string().regex(/^\d{1,20}$/, 'is the App’s number'),
  appSlug: z.string().trim().min(1, 'is missing').max(100),
  privateKey: z
    .string()
    .trim()
    .regex(
      /^-----BEGIN (RSA )?PRIVATE KEY-----[^]+-----END (RSA )?PRIVATE KEY-----$/,
      'is the App’s private key in PEM',
    ),
  webhookSecret: z.string().trim().min(16, 'is shorter than 16 characters').max(300),
});

/** What is left out stays as it is; of a forge that is new it is none. */
const later = { caBundle: CaBundle.unwrap().optional(), runnerEgress: RunnerEgress.optional() };

/** A forge as a document tells it. The portal replaces a webhook secret without telling anybody, so that it is told once. */
export const ForgeEntry = z.discriminatedUnion('kind', [
  NewForgeInput.extend(later),
  NewGithubInput.extend({ ...later, webhookSecret: NewGithubInput.shape.webhookSecret.optional() }),
]);
export type ForgeEntry = z.output<typeof ForgeEntry>;

/** Where the forge sends people back to: what its OAuth application must be given, letter by letter. */
export function callbackUrl(connectionId: string): string {
  return `${env().PORTAL_URL}/api/auth/callback/${connectionId}`;
}

export async function addForge(by: PersonCtx, input: NewForgeInput): Promise<void> {
  if (!by.person.isOperator) throw notFound();
  await assertAnswers(input);
  const { kind, connectionId: id, name, baseUrl, caBundle, runnerEgress } = input;
  const data = await newRow(input);
  await unsafeTransaction(async (tx) => {
    await tx.forgeConnection.create({ data });
    await appendAudit(tx, by, null, {
      action: 'forge:add',
      target: `forge/${id}`,
      after: { kind, name, baseUrl, ownAuthority: caBundle !== null, runnerEgress },
    });
  }).catch(asTaken);
}

/** Its secrets sealed. Where the forge gives no webhook secret of its own, one is made here. */
async function newRow(entry: ForgeEntry) {
  const { kind, connectionId: id, name, baseUrl, clientId, clientSecret, caBundle = null, runnerEgress = null } = entry;
  const webhookSecret = entry.kind === 'github' ? entry.webhookSecret : randomBytes(32).toString('base64url');
  if (webhookSecret === undefined) throw invalidFields({ webhookSecret: 'is missing' });
  return {
    id,
    kind,
    name,
    baseUrl,
    clientId,
    caBundle,
    runnerEgress,
    sealedClientSecret: await seal(clientSecret, connectionPlace(id, 'client_secret')),
    sealedWebhookSecret: await seal(webhookSecret, connectionPlace(id, 'webhook_secret')),
    ...(entry.kind === 'github'
      ? {
          appId: entry.appId,
          appSlug: entry.appSlug,
          sealedPrivateKey: await seal(entry.privateKey, connectionPlace(id, 'private_key')),
        }
      : {}),
  };
}

function asTaken(error: unknown): never {
  if (!(error instanceof Prisma.PrismaClientKnownRequestError) || error.code !== 'P2002') throw error;
  const isUrl = JSON.stringify(error.meta ?? {}).includes('base_url');
  throw invalidFields(isUrl ? { baseUrl: 'is entered already' } : { connectionId: 'is taken' });
}

// ------------------------------------------------------------------------------------------------ by a document

/** Asks the forge where it is new, or somebody else is to vouch for it. Nothing is kept. */
export async function tryForge(entry: ForgeEntry): Promise<void> {
  const { kind, connectionId: id, baseUrl, caBundle } = entry;
  const before = await unsafeDb().forgeConnection.findUnique({ where: { id } });
  if (!before) await assertAnswers({ kind, baseUrl, caBundle: caBundle ?? null });
  else if (caBundle !== undefined && caBundle !== before.caBundle)
    await assertAnswers({ ...before, caBundle }, 'caBundle');
}

/** Makes it so and says what changed; null where nothing did. Whoever calls it writes it into the audit. */
export async function enterForge(tx: UnsafeTx, entry: ForgeEntry) {
  const { kind, connectionId: id, name, baseUrl, clientId } = entry;
  const before = await tx.forgeConnection.findUnique({ where: { id } });
  if (before) return changeByDocument(tx, entry, before);
  const other = await tx.forgeConnection.findUnique({ where: { baseUrl }, select: { id: true } });
  if (other) throw invalidFields({ baseUrl: `is entered already, as ${other.id}` });
  const { caBundle, runnerEgress } = await tx.forgeConnection.create({ data: await newRow(entry) });
  return { before: null, after: { kind, name, baseUrl, clientId, caBundle, runnerEgress } };
}

/** What everything hangs on stays, and a secret is replaced where it is tried: on the page of the forges. */
async function changeByDocument(tx: UnsafeTx, entry: ForgeEntry, before: ForgeConnectionModel) {
  await refuseOther(entry, before);
  const { connectionId: id, caBundle, runnerEgress } = entry;
  const told = Object.entries({ caBundle, runnerEgress }).filter(
    ([field, value]) => value !== undefined && value !== before[field as keyof ForgeConnectionModel],
  );
  if (told.length === 0) return null;
  await tx.forgeConnection.update({ where: { id }, data: Object.fromEntries(told) });
  await wakeServedBy(tx, { connectionId: id });
  const was = told.map(([field]) => [field, before[field as keyof ForgeConnectionModel]]);
  return { before: Object.fromEntries(was) as object, after: Object.fromEntries(told) as object };
}

async function refuseOther(entry: ForgeEntry, before: ForgeConnectionModel): Promise<void> {
  const { connectionId: id, kind, name, baseUrl, clientId, clientSecret } = entry;
  const app = entry.kind === 'github' ? { appId: entry.appId, appSlug: entry.appSlug } : {};
  const fields = Object.entries({ kind, name, baseUrl, clientId, ...app }).filter(
    ([field, value]) => before[field as keyof ForgeConnectionModel] !== value,
  );
  const secrets: [string, string | null, string | undefined][] = [
    ['clientSecret', before.sealedClientSecret, clientSecret],
    ...(entry.kind === 'github'
      ? [
          ['privateKey', before.sealedPrivateKey, entry.privateKey] as [string, string | null, string],
          ['webhookSecret', before.sealedWebhookSecret, entry.webhookSecret] as [
            string,
            string | null,
            string | undefined,
          ],
        ]
      : []),
  ];
  const columns = {
    clientSecret: 'client_secret',
    privateKey: 'private_key',
    webhookSecret: 'webhook_secret',
  } as const;
  const problems = fields.map(([field]) => [
    field,
    'cannot change: this forge is entered already, and all hangs on it',
  ]);
  for (const [field, sealed, value] of secrets) {
    if (value === undefined) continue;
    const place = connectionPlace(id, columns[field as keyof typeof columns]);
    if (sealed === null || (await open(sealed, place)).trim() !== value.trim())
      problems.push([field, 'is another than the one that is kept: it is replaced on the page Forges, which tries it']);
  }
  if (problems.length > 0) throw invalidFields(Object.fromEntries(problems) as Record<string, string>);
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
