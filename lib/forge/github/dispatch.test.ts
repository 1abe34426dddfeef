import { expect, test } from 'vitest';
import type { Ask, Client } from './client.ts';
import { dispatchWorkflow } from './dispatch.ts';

/** GitHub as far as this asks it: the repository, then the dispatch with the status that is given. */
function githubThat({ sees, answers }: { sees: boolean; answers: number }): { client: Client; asked: unknown[] } {
  const asked: unknown[] = [];
  const find = async (route: string, _schema: unknown, ask: Ask) => {
    asked.push([route.split(' ')[0], ask.params]);
    if (route.startsWith('GET')) return sees ? { default_branch: 'trunk' } : null;
    if (answers === 204) return '';
    if (ask.absent?.({ status: answers, message: '', headers: {} })) return null;
    throw new Error(`refused with ${answers}`);
  };
  return { client: { find } as unknown as Client, asked };
}

const input = {
  credential: { kind: 'installation' as const, installationId: '7' },
  level: 'organization' as const,
  scopeId: '1',
  path: 'acme',
  repository: 'acme/app',
  workflow: 'flywheel-proof.yml',
  inputs: { label: 'acme-nix' },
};

test('a workflow is started on the default branch, with what it was given', async () => {
  const { client, asked } = githubThat({ sees: true, answers: 204 });
  expect(await dispatchWorkflow(client, input)).toEqual({ sent: true });
  expect(asked).toEqual([
    ['GET', { owner: 'acme', repo: 'app' }],
    ['POST', { owner: 'acme', repo: 'app', workflow_id: input.workflow, ref: 'trunk', inputs: input.inputs }],
  ]);
});

test.each([
  [{ sees: false, answers: 204 }, /does not see acme\/app/],
  [{ sees: true, answers: 403 }, /may start no workflow \(actions: write\)/],
  [{ sees: true, answers: 404 }, /acme\/app has no workflow flywheel-proof\.yml/],
  [{ sees: true, answers: 422 }, /cannot be started by hand/],
])('where GitHub answers %j, it is said why not', async (how, why) => {
  expect(await dispatchWorkflow(githubThat(how).client, input)).toEqual({
    unsupported: true,
    why: expect.stringMatching(why),
  });
});

test('an enterprise’s token starts none, and what is no answer is thrown', async () => {
  const { client, asked } = githubThat({ sees: true, answers: 500 });
  await expect(dispatchWorkflow(client, input)).rejects.toThrow('500');
  const token = { ...input, credential: { kind: 'token' as const, token: 'x' } };
  expect(await dispatchWorkflow(client, token)).toMatchObject({ unsupported: true });
  expect(asked).toHaveLength(2);
});
