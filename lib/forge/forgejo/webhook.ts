import type { Webhook, WebhookInput, WebhookReader, WorkflowJob } from '../port.ts';
import { isSignedHex, parsedBody, unreadableError, unsignedError } from '../signed-body.ts';
import { WebhookAbout, WebhookHead, WorkflowJobPayload } from './schema.ts';

/** Forgejo's deliveries and Gitea's: the same signature under each one's own names. There are no installations. */
export const forgejoWebhooks: WebhookReader = {
  proofHeaders: ['x-forgejo-signature', 'x-gitea-signature', 'x-hub-signature-256'],
  verifyWebhook,
  readWorkflowJob,
  readInstallation: () => null,
  readAccountId,
  readRepository,
  // No hook tells of members.
  readPerson: () => null,
};

/**
 * The signature is over the bytes as they came: JSON that was parsed and written again is another body. The headers are
 * not signed, so the event's name decides only which schema the signed payload must fit.
 */
function verifyWebhook(secret: string, { headers, rawBody }: WebhookInput): Webhook {
  if (!isSignedHex(secret, rawBody, signatureOf(headers))) throw unsignedError();
  const deliveryId = headers.get('x-forgejo-delivery') ?? headers.get('x-gitea-delivery') ?? '';
  const event = headers.get('x-forgejo-event') ?? headers.get('x-gitea-event') ?? '';
  // Without an id a repeat could not be told from a new delivery.
  if (!/^[\w.-]{1,100}$/.test(deliveryId) || !/^[a-z_]{1,100}$/.test(event))
    throw unreadableError('its id or its event');
  const payload = parsedBody(rawBody);
  const head = WebhookHead.safeParse(payload);
  if (!head.success) throw unreadableError('its payload');
  const action = head.data.action ?? null;
  return { event, about: aboutOf(event), deliveryId, action, installationId: null, payload };
}

/** A run that has ended is no job's event: it says that the scope is worth a look. */
const scopeEvents = new Set(['repository', 'action_run_failure', 'action_run_success', 'action_run_recover']);

function aboutOf(event: string): Webhook['about'] {
  if (event === 'workflow_job') return 'job';
  return scopeEvents.has(event) ? 'scope' : 'other';
}

/** Bare hex; only in the header that is named as GitHub's is it prefixed. One that is there and wrong is not looked past. */
function signatureOf(headers: WebhookInput['headers']): string | null {
  const own = headers.get('x-forgejo-signature') ?? headers.get('x-gitea-signature');
  return own ?? headers.get('x-hub-signature-256')?.replace(/^sha256=/, '') ?? null;
}

const stateOf: Record<string, WorkflowJob['state']> = { in_progress: 'running', completed: 'completed' };

function readWorkflowJob(payload: unknown): WorkflowJob | null {
  const parsed = WorkflowJobPayload.safeParse(payload);
  if (!parsed.success) return null;
  const { workflow_job: job, repository } = parsed.data;
  if (!job.created_at) return null;
  // `queued`, `waiting` and whatever else comes before a runner has it.
  const state = stateOf[job.status] ?? 'queued';
  return {
    externalId: job.id,
    repository: repository.full_name,
    repositoryId: repository.id,
    owner: repository.owner.login,
    ownerId: repository.owner.id,
    enterpriseId: null,
    labels: job.labels ?? [],
    runId: null,
    state,
    conclusion: state === 'completed' ? job.conclusion || null : null,
    runnerName: job.runner_name || null,
    workflow: null,
    name: job.name || null,
    queuedAt: job.created_at,
    startedAt: state === 'queued' ? null : (job.started_at ?? null),
    completedAt: state === 'completed' ? (job.completed_at ?? null) : null,
  };
}

function readAccountId(payload: unknown): string | null {
  const about = WebhookAbout.safeParse(payload).data;
  const repository = about?.repository ?? about?.run?.repository;
  return repository?.owner.id ?? about?.organization?.id ?? null;
}

function readRepository(payload: unknown): { id: string; path: string } | null {
  const about = WebhookAbout.safeParse(payload).data;
  const repository = about?.repository ?? about?.run?.repository;
  return repository ? { id: repository.id, path: repository.full_name } : null;
}
