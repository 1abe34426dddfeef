import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { AppError } from '../../errors.ts';
import { secretMark } from '../hook-secret.ts';
import type { AtScope, Unsupported, Webhook, WebhookInput, WebhookReader, WorkflowJob } from '../port.ts';
import { parsedBody, unreadableError } from '../signed-body.ts';
import { gitlabLevel } from './choice.ts';
import { type Client, numberOf } from './client.ts';
import type { Refusal } from './errors.ts';
import { askAt } from './observe.ts';
import { BuildPayload, Hook, Metadata, WebhookHead, WebhookPlace } from './schema.ts';

/** Both ends of GitLab's hooks: what a delivery must carry and says, and the hook at a scope that sends it. */
export const gitlabWebhooks: WebhookReader = {
  proofHeaders: ['webhook-signature', 'x-gitlab-token'],
  verifyWebhook,
  readWorkflowJob,
  // There are no Apps to install.
  readInstallation: () => null,
  readAccountId,
  readRepository,
  // No hook of the portal's tells of members.
  readPerson: () => null,
};

// ------------------------------------------------------------------------------------------------ verifying

/** How far the clocks of both sides may be apart, and so how long a delivery that was overheard can be sent again. */
const driftMaxS = 300;

/**
 * GitLab can prove itself in two ways. Its secret token is a password in a header; its signing token (since 19.0, after
 * Standard Webhooks) signs id, time and the bytes as they came. Where a signature is there, it alone decides: a delivery
 * whose body was changed on its way still carries the password. A hook that signs has no password, so that none is on its way.
 */
function verifyWebhook(secret: string, { headers, rawBody }: WebhookInput): Webhook {
  const signature = headers.get('webhook-signature');
  const proven =
    signature === null
      ? isSame(secretTokenOf(secret), headers.get('x-gitlab-token') ?? '')
      : isSigned(secret, headers, rawBody, signature);
  if (secret === '' || !proven) throw unprovenError();
  const event = headers.get('x-gitlab-event') ?? '';
  const deliveryId = deliveryIdOf(headers, signature !== null);
  // Without an id a repeat could not be told from a new delivery.
  if (!/^[\w.-]{1,100}$/.test(deliveryId) || !/^[A-Za-z ]{1,100}$/.test(event))
    throw unreadableError('its id or its event');
  const payload = parsedBody(rawBody);
  const head = WebhookHead.safeParse(payload);
  if (!head.success) throw unreadableError('its payload');
  const { object_kind: kind, event_name: name, build_status: status } = head.data;
  return {
    event,
    deliveryId,
    about: aboutOf(kind, name),
    action: status ?? name ?? null,
    installationId: null,
    payload,
  };
}

/** The idempotency key stays when GitLab or a person sends a delivery again; of a signed one, only the signed id counts. */
function deliveryIdOf(headers: WebhookInput['headers'], signed: boolean): string {
  if (signed) return headers.get('webhook-id') ?? '';
  return headers.get('idempotency-key') ?? headers.get('x-gitlab-event-uuid') ?? '';
}

/** The name of the event comes in a header, which the password does not cover: the payload says itself what it is. */
function aboutOf(kind: string | null | undefined, name: string | null | undefined): Webhook['about'] {
  if (kind === 'build') return 'job';
  // Members come and go, groups and projects move, and tokens are about to end.
  const moves = /^(user|subgroup|project|group)_(add|update|remove|create|destroy|rename|transfer)/.test(name ?? '');
  return kind === 'access_token' || moves ? 'scope' : 'other';
}

function isSigned(secret: string, headers: WebhookInput['headers'], rawBody: Uint8Array, signature: string): boolean {
  const id = headers.get('webhook-id') ?? '';
  const seconds = headers.get('webhook-timestamp') ?? '';
  const isFresh = /^\d{1,12}$/.test(seconds) && Math.abs(Date.now() / 1000 - Number(seconds)) <= driftMaxS;
  const key = Buffer.from(signingTokenOf(secret).slice(signingPrefix.length), 'base64');
  const digest = createHmac('sha256', key).update(`${id}.${seconds}.`).update(rawBody).digest('base64');
  // While a key is being replaced there are several, divided by spaces. None of them is skipped for another that fits.
  const fits = signature
    .slice(0, 1000)
    .split(' ')
    .map((each) => isSame(`v1,${digest}`, each));
  return isFresh && fits.includes(true);
}

/** In constant time, whatever the lengths. */
function isSame(right: string, given: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(right), digest(given));
}

const signingPrefix = 'whsec_';

/**
 * GitLab's secret token, which it sends in the clear with each delivery where it cannot sign. A hook has one secret of any
 * shape, which itself is never sent: the password and the key are derived from it apart, so that whoever reads the one in a
 * header holds neither the secret nor the other.
 */
export function secretTokenOf(secret: string): string {
  return derived(secret, 'secret token').toString('base64url');
}

/**
 * GitLab's signing token, 32 bytes in base64. A secret that is such a token already is taken as it is, for a hook that a
 * person made by hand.
 */
export function signingTokenOf(secret: string): string {
  const isToken =
    secret.startsWith(signingPrefix) && Buffer.from(secret.slice(signingPrefix.length), 'base64').length === 32;
  return isToken ? secret : `${signingPrefix}${derived(secret, 'signing token').toString('base64')}`;
}

function derived(secret: string, use: string): Buffer {
  return createHmac('sha256', secret).update(`flywheel gitlab hook: ${use}`).digest();
}

function unprovenError(): AppError {
  return new AppError('unauthenticated', {
    log: 'webhook: neither the token nor the signature is of our secret',
    screen: {
      happened: 'The delivery does not carry this connection’s secret.',
      todo: 'Set the same secret token on both sides.',
    },
  });
}

// ------------------------------------------------------------------------------------------------ reading

const ended: Record<string, string> = {
  success: 'success',
  failed: 'failure',
  canceled: 'cancelled',
  skipped: 'skipped',
};
const running = new Set(['running', 'canceling']);

/**
 * A job's event tells the tags of the runner that has it, and of nobody else: which tags the job asks for is not in it
 * (lib/gitlab/data_builder/build.rb; docs.gitlab.com, "Job events", 19). So until a runner of ours has it, its labels are
 * none, and it is no pool's job.
 */
function readWorkflowJob(payload: unknown): WorkflowJob | null {
  const parsed = BuildPayload.safeParse(payload);
  const place = parsed.success ? readRepository(payload) : null;
  if (!parsed.success || !place) return null;
  const job = parsed.data;
  const conclusion = ended[job.build_status] ?? null;
  const state = conclusion !== null ? 'completed' : running.has(job.build_status) ? 'running' : 'queued';
  const queuedAt = job.build_created_at ?? job.build_started_at;
  if (!queuedAt) return null;
  return {
    externalId: job.build_id,
    repository: place.path,
    repositoryId: place.id,
    owner: place.path.split('/').slice(0, -1).join('/'),
    // The event names the project's group by its name alone.
    ownerId: null,
    enterpriseId: null,
    labels: job.runner?.tags ?? [],
    runId: null,
    state,
    conclusion,
    runnerName: job.runner?.description || null,
    workflow: null,
    name: job.build_name ?? null,
    queuedAt,
    startedAt: state === 'queued' ? null : (job.build_started_at ?? null),
    completedAt: state === 'completed' ? (job.build_finished_at ?? null) : null,
  };
}

/** A group's, in events about its members and subgroups; a project's events tell no id of its group. */
function readAccountId(payload: unknown): string | null {
  return WebhookPlace.safeParse(payload).data?.group_id ?? null;
}

function readRepository(payload: unknown): { id: string; path: string } | null {
  const { data } = WebhookPlace.safeParse(payload);
  const id = data?.project_id ?? data?.project?.id;
  const path = data?.project?.path_with_namespace ?? pathOf(data?.repository?.homepage);
  return id && path ? { id, path } : null;
}

/** Before 16 an event had no `project`; the address of the project's page ends with its path. */
function pathOf(homepage: string | null | undefined): string | null {
  return URL.parse(homepage ?? '')?.pathname.replace(/^\/|\/$/g, '') || null;
}

// ------------------------------------------------------------------------------------------------ the hook at a scope

type At = AtScope & { url: string };

const unsupported: Unsupported = { unsupported: true };

/**
 * A hook of a project, or of a group where the plan has them (Premium). It wants scope `api`, which an enrollment's token
 * need not have. An instance has system hooks, which tell of no jobs.
 */
export function gitlabHooks(client: Client, secret: string | undefined) {
  return {
    async ensureWebhook(input: At): Promise<{ change: 'created' | 'updated' | null } | Unsupported> {
      const hooks = secret ? await findHooks(client, input) : null;
      if (!secret || !hooks) return unsupported;
      const known = hooks.find((hook) => hook.url === input.url);
      const description = descriptionOf(secret);
      if (known && isAsWanted(known, description)) return { change: null };
      const signs = known ? tellsOfProofs(known) : await canSign(client, input);
      const written = await write(client, input, known, { ...wanted, description, ...proofOf(secret, signs) });
      if (!written) return unsupported;
      return { change: known ? 'updated' : 'created' };
    },
    async removeWebhook(input: At): Promise<{ change: 'removed' | null } | Unsupported> {
      const hooks = await findHooks(client, input);
      if (!hooks) return unsupported;
      const known = hooks.filter((hook) => hook.url === input.url);
      for (const { id } of known) if (!(await remove(client, input, id))) return unsupported;
      return { change: known.length > 0 ? 'removed' : null };
    },
  };
}

function levelOf({ level }: AtScope): 'project' | 'group' {
  return level === 'group' ? 'group' : 'project';
}

/** No right to, no such thing in this edition or plan, or an address that this server may not send to. */
function isRefused({ status, message }: Refusal): boolean {
  return status === 403 || status === 404 || (status === 422 && /url/i.test(message));
}

async function findHooks(client: Client, input: At): Promise<Hook[] | null> {
  if (gitlabLevel(input.level) === 'instance') return null;
  const hooks: Hook[] = [];
  for (let page: number | null = 1; page !== null && page <= 100;) {
    const found: { items: Hook[]; next: number | null } | null = await onePage(client, input, page);
    if (!found) return null;
    hooks.push(...found.items);
    page = found.next;
  }
  return hooks;
}

/** That the token has ended is no answer about hooks, but an error. */
async function onePage(client: Client, input: At, number: number) {
  try {
    return await client.page(Hook, { ...askAt(input), absent: isRefused }, number, (api, options) =>
      api.hooks[levelOf(input)].all(input.scopeId, options),
    );
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') return null;
    throw error;
  }
}

/** False where this token may see a hook and not take it away. */
async function remove(client: Client, input: At, id: string): Promise<boolean> {
  let mayNot = false;
  const absent = ({ status }: Refusal) => {
    mayNot = status === 403;
    return mayNot || status === 404;
  };
  const ask = { ...askAt(input), absent };
  await client.find(z.unknown(), ask, (api) => api.hooks[levelOf(input)].remove(input.scopeId, numberOf(id)));
  return !mayNot;
}

const wanted = {
  name: 'Flywheel',
  jobEvents: true,
  // GitLab's own default is to tell of pushes.
  pushEvents: false,
  enableSslVerification: true,
};

/** GitLab never shows a hook's secrets again; what they were made of is recognised by a mark in the description. */
function descriptionOf(secret: string): string {
  return `Made and kept by the Flywheel portal (key ${secretMark(secret)}).`;
}

/** An empty token takes away one that was there: a hook that signs says no password. */
function proofOf(secret: string, signs: boolean): { token: string; signingToken?: string } {
  return signs ? { token: '', signingToken: signingTokenOf(secret) } : { token: secretTokenOf(secret) };
}

/** Servers tell how a hook proves itself since they can sign. */
function tellsOfProofs(hook: Hook): boolean {
  return typeof hook.signing_token_present === 'boolean';
}

const signsSinceMajor = 19;

async function canSign(client: Client, input: At): Promise<boolean> {
  const metadata = await client.find(Metadata, askAt(input), (api) => api.metadata.show());
  return Number.parseInt(metadata?.version ?? '', 10) >= signsSinceMajor;
}

/** Descriptions came with 17.1 and the flags with 19.0: what a server does not tell is not held against it. */
function isAsWanted(hook: Hook, description: string): boolean {
  const sends = hook.job_events && hook.alert_status !== 'disabled' && hook.alert_status !== 'temporarily_disabled';
  const proves = !tellsOfProofs(hook) || (hook.signing_token_present === true && hook.token_present === false);
  return sends && proves && (hook.description === undefined || hook.description === description);
}

type Written = typeof wanted & ReturnType<typeof proofOf> & { description: string };

async function write(client: Client, input: At, known: Hook | undefined, given: Written) {
  const ask = { ...askAt(input), absent: isRefused };
  const { scopeId, url } = input;
  const level = levelOf(input);
  return client.find(Hook, ask, (api) =>
    known ? api.hooks[level].edit(scopeId, numberOf(known.id), url, given) : api.hooks[level].add(scopeId, url, given),
  );
}
