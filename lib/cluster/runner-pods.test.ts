import { expect, test } from 'vitest';
import { stringify } from 'yaml';
import type { KubernetesObject } from './manifests.ts';
import { runnerPodRules, runnerPodsObjects } from './runner-pods.ts';

const file = '../../deploy/cluster/runner-pods.yaml';
const about = `# What the API server holds every pod of a tenant to, whoever makes it. An operator applies it, as portal-rights.yaml; the portal
# looks whether it is there, and says so where it is not. It is written from lib/cluster/runner-pods.ts, and a test keeps it so.
# Whoever taints nodes for runners, or has a runtime class that does, adds those keys to the rule \`tolerations\`. Without it the portal
# makes no namespace for pools of the classes \`builds\` and \`dind\`, where it is the only fence.
`;

test('A17: what an operator applies is these objects', async () => {
  const documents = runnerPodsObjects().map((object) => stringify(object, { lineWidth: 0 }));
  await expect(about + documents.join('---\n')).toMatchFileSnapshot(file);
});

test('each rule has a name of its own, which its message begins with, and says what it wants', () => {
  const names = runnerPodRules.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const [policy] = runnerPodsObjects() as [KubernetesObject];
  const { validations } = policy['spec'] as { validations: { message: string }[] };
  expect(validations.map(({ message }) => message.split(': ')[0])).toEqual(names);
  // The API server takes no longer ones.
  expect(validations.filter(({ message }) => message.length > 256 || message.includes('\n'))).toEqual([]);
});
