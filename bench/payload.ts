/** `workflow_job` deliveries as GitHub sends them: about 9 KB, most of it addresses that nobody reads, and signed. */
import { createHmac, randomUUID } from 'node:crypto';
import { organization } from './organization.ts';

/** What all of them are signed with. */
export const benchSecret = 'the secret of the bench';

export type Delivery = { headers: Record<string, string>; body: Buffer };

const steps = [
  { action: 'queued', status: 'queued', conclusion: null, runner_name: null, completed_at: null },
  { action: 'in_progress', status: 'in_progress', conclusion: null, runner_name: 'runner', completed_at: null },
  {
    action: 'completed',
    status: 'completed',
    conclusion: 'success',
    runner_name: 'runner',
    completed_at: '2026-11-01T10:01:00Z',
  },
];

/**
 * Three deliveries of each job: all jobs are queued before the first of them runs, as in a queue that is worked off. Job
 * ids begin at `first`; `labels` names a pool for each organization.
 */
export function jobDeliveries(first: number, jobs: number, labels: readonly string[]): Delivery[] {
  return steps.flatMap((step) =>
    Array.from({ length: jobs }, (_, index) => {
      const place = index % labels.length;
      return signed(payload(first + index, organization(place), labels[place] ?? '', step));
    }),
  );
}

function signed(payloadOf: object): Delivery {
  const body = Buffer.from(JSON.stringify(payloadOf));
  return {
    body,
    headers: {
      'content-type': 'application/json',
      'user-agent': 'GitHub-Hookshot/bench',
      'x-github-event': 'workflow_job',
      'x-github-delivery': randomUUID(),
      'x-hub-signature-256': `sha256=${createHmac('sha256', benchSecret).update(body).digest('hex')}`,
    },
  };
}

type Organization = ReturnType<typeof organization>;

function payload(id: number, org: Organization, label: string, { action, ...step }: (typeof steps)[number]): object {
  const owner = account(org.login, org.id, 'Organization');
  const repository = `https://api.github.com/repos/${org.login}/app`;
  return {
    action,
    workflow_job: {
      id,
      run_id: id,
      run_url: `${repository}/actions/runs/${id}`,
      html_url: `https://github.com/${org.login}/app/actions/runs/${id}/job/${id}`,
      head_branch: 'main',
      head_sha: 'c0ffee'.padEnd(40, '0'),
      workflow_name: 'CI',
      name: 'build',
      labels: [label],
      created_at: '2026-11-01T10:00:00Z',
      started_at: '2026-11-01T10:00:05Z',
      steps: Array.from({ length: 12 }, (_, number) => ({ name: `Step ${number}`, status: 'completed', number })),
      ...step,
    },
    repository: {
      id: 3_000_000 + org.id,
      name: 'app',
      full_name: `${org.login}/app`,
      private: true,
      owner,
      ...Object.fromEntries(
        Array.from({ length: 60 }, (_, n) => [`part_${n}_url`, `${repository}/part-${n}{/number}`]),
      ),
    },
    organization: { ...owner, description: null },
    sender: account('somebody', 7, 'User'),
    installation: { id: org.installationId, node_id: 'MDIzOkludGVncmF0aW9uSW5zdGFsbGF0aW9u' },
  };
}

function account(login: string, id: number, type: string): object {
  const base = `https://api.github.com/users/${login}`;
  const urls = Array.from({ length: 12 }, (_, n) => [`part_${n}_url`, `${base}/part-${n}{/other}`]);
  return { login, id, type, url: base, ...Object.fromEntries(urls) };
}
