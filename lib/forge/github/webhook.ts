import type { InstallationEvent, Webhook, WebhookInput, WebhookReader, WorkflowJob } from '../port.ts';
import { isSignedHex, parsedBody, unreadableError, unsignedError } from '../signed-body.ts';
import { InstallationPayload, WebhookAccount, WebhookHead, WebhookPerson, WorkflowJobPayload } from './schema.ts';

export const githubWebhooks: WebhookReader = {
  proofHeaders: ['x-hub-signature-256'],
  verifyWebhook,
  readWorkflowJob,
  readInstallation,
  readAccountId,
  readRepository,
  readPerson,
};

/**
 * The signature is over the bytes as they came: JSON that was parsed and written again is another body. The headers are
 * not signed, so the event's name decides only which schema the signed payload must fit.
 */
function verifyWebhook(secret: string, { headers, rawBody }: WebhookInput): Webhook {
  const signature = /^sha256=(.*)$/.exec(headers.get('x-hub-signature-256') ?? '')?.[1] ?? null;
  if (!isSignedHex(secret, rawBody, signature)) throw unsignedError();
  const deliveryId = headers.get('x-github-delivery') ?? '';
  const event = headers.get('x-github-event') ?? '';
  // Without an id a repeat could not be told from a new delivery.
  if (!/^[\w.-]{1,100}$/.test(deliveryId) || !/^[a-z_]{1,100}$/.test(event))
    throw unreadableError('its id or its event');
  const payload = parsedBody(rawBody);
  const head = WebhookHead.safeParse(payload);
  if (!head.success) throw unreadableError('its payload');
  return {
    event,
    about: aboutOf(event, head.data.action ?? ''),
    deliveryId,
    action: head.data.action ?? null,
    installationId: head.data.installation?.id ?? null,
    payload,
  };
}

const scopeEvents = new Set(['installation_repositories', 'installation_target', 'organization', 'repository']);

function aboutOf(event: string, action: string): Webhook['about'] {
  // Of another role in the organization or the team GitHub tells nobody; only of who comes and goes.
  if (event === 'membership' || event === 'team' || (event === 'organization' && action.startsWith('member_')))
    return 'people';
  if (event === 'workflow_job') return 'job';
  if (event === 'installation') return 'installation';
  return scopeEvents.has(event) ? 'scope' : 'other';
}

const stateOf: Record<string, WorkflowJob['state']> = { in_progress: 'running', completed: 'completed' };

function readWorkflowJob(payload: unknown): WorkflowJob | null {
  const parsed = WorkflowJobPayload.safeParse(payload);
  if (!parsed.success) return null;
  const { workflow_job: job, repository, enterprise } = parsed.data;
  // `queued`, `waiting`, `pending` and whatever else comes before a runner has it.
  const state = stateOf[job.status] ?? 'queued';
  return {
    externalId: job.id,
    repository: repository.full_name,
    repositoryId: repository.id,
    owner: repository.owner.login,
    ownerId: repository.owner.id,
    enterpriseId: enterprise?.id ?? null,
    labels: job.labels,
    runId: job.run_id ?? null,
    state,
    conclusion: state === 'completed' ? (job.conclusion ?? null) : null,
    runnerName: job.runner_name || null,
    workflow: job.workflow_name ?? null,
    name: job.name ?? null,
    queuedAt: job.created_at,
    // A queued job already carries a started_at, which is the time it was queued.
    startedAt: state === 'queued' ? null : (job.started_at ?? null),
    completedAt: state === 'completed' ? (job.completed_at ?? null) : null,
  };
}

function readInstallation(payload: unknown): InstallationEvent | null {
  const parsed = InstallationPayload.safeParse(payload);
  if (!parsed.success) return null;
  const { action, installation } = parsed.data;
  return {
    externalId: installation.id,
    accountId: installation.account.id,
    accountLogin: installation.account.login,
    accountType: installation.account.type,
    repositorySelection: installation.repository_selection,
    permissions: installation.permissions,
    suspendedAt: installation.suspended_at,
    removed: action === 'deleted',
  };
}

function readAccountId(payload: unknown): string | null {
  const parsed = WebhookAccount.safeParse(payload);
  if (!parsed.success) return null;
  const { repository, organization, installation, account } = parsed.data;
  return repository?.owner.id ?? organization?.id ?? installation?.account?.id ?? account?.id ?? null;
}

function readPerson(payload: unknown): string | null {
  const parsed = WebhookPerson.safeParse(payload);
  return parsed.data?.membership?.user.id ?? parsed.data?.member?.id ?? null;
}

function readRepository(payload: unknown): { id: string; path: string } | null {
  const parsed = WebhookAccount.safeParse(payload);
  const repository = parsed.data?.repository;
  return repository ? { id: repository.id, path: repository.full_name } : null;
}
