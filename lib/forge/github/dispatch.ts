import { z } from 'zod';
import type { AtScope, Dispatched } from '../port.ts';
import type { Client } from './client.ts';
import type { Refusal } from './errors.ts';

/** https://docs.github.com/rest/actions/workflows#create-a-workflow-dispatch-event: 204, and for Apps `actions: write`. */
const route = 'POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches';
const Branched = z.object({ default_branch: z.string() });

/** Starts a workflow of a repository within the scope, on its default branch. What GitHub does not permit is an answer. */
export async function dispatchWorkflow(
  client: Client,
  input: AtScope & { repository: string; workflow: string; inputs: Record<string, string> },
): Promise<Dispatched> {
  const { credential, repository, workflow, inputs, signal } = input;
  if (credential.kind !== 'installation')
    return { unsupported: true, why: 'a token of an enterprise runs no workflow' };
  const [owner = '', repo = ''] = repository.split('/');
  const ask = { as: { installation: credential.installationId }, signal, about: repository };
  const place = { owner, repo };
  const seen = await client.find('GET /repos/{owner}/{repo}', Branched, { ...ask, params: place });
  if (!seen) return { unsupported: true, why: `the App does not see ${repository}` };
  let refusal: Refusal | undefined;
  const absent = (refused: Refusal) => {
    refusal = refused;
    return [403, 404, 422].includes(refused.status);
  };
  const params = { ...place, workflow_id: workflow, ref: seen.default_branch, inputs };
  const sent = await client.find(route, z.unknown(), { ...ask, absent, params });
  if (sent !== null && refusal === undefined) return { sent: true };
  if (refusal?.status === 403) return { unsupported: true, why: 'the App may start no workflow (actions: write)' };
  if (refusal?.status === 404) return { unsupported: true, why: `${repository} has no workflow ${workflow}` };
  return { unsupported: true, why: `${workflow} in ${repository} cannot be started by hand (workflow_dispatch)` };
}
