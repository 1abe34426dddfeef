import { z } from 'zod';
import type { ForgeKind } from './scope.ts';
import type { SecurityClass } from './security-class.ts';

/** GitHub's scale sets carry at most 45 characters: ARC derives a 63-character listener name from it (ARC 0.14.2). */
export const scaleSetNameLengthMax = 45;

export type LabelTenant = { slug: string; isDefault: boolean };

/** The model's label rule: `<pool>` for the default tenant, else `<tenant>-<pool>`. It is also the scale set's name. */
export function labelOf(tenant: LabelTenant, pool: string): string {
  return tenant.isDefault ? pool : `${tenant.slug}-${pool}`;
}

export const ScaleSetName = z
  .string()
  .min(1)
  .max(scaleSetNameLengthMax, `is at most ${scaleSetNameLengthMax} characters`);

/** Where a forge reads which runners a job wants. */
export const labelKey = { github: 'runs-on', gitlab: 'tags', forgejo: 'runs-on' } as const satisfies Record<
  ForgeKind,
  string
>;

/** What a job of each class can do at once. */
const commandsOf: Record<SecurityClass, (label: string) => string[]> = {
  restricted: (label) => [`echo "on ${label}"`],
  builds: () => ['docker buildx create --use --driver remote "$BUILDKIT_HOST"', 'docker buildx build .'],
  dind: () => ['docker build .'],
};

/** What a person writes into the file that their forge reads. */
export function workflowSnippet(kind: ForgeKind, label: string, securityClass: SecurityClass = 'restricted'): string {
  const commands = commandsOf[securityClass](label);
  if (kind === 'gitlab')
    return ['build:', '  tags:', `    - ${label}`, '  script:', ...commands.map((each) => `    - ${each}`)].join('\n');
  // Forgejo fetches actions from its own instance unless they are named with their address.
  const checkout = kind === 'github' ? 'actions/checkout@v5' : 'https://data.forgejo.org/actions/checkout@v5';
  return [
    ...(kind === 'forgejo' ? ['on: push'] : []),
    'jobs:',
    '  build:',
    `    runs-on: ${label}`,
    '    steps:',
    `      - uses: ${checkout}`,
    ...commands.map((each) => `      - run: ${each}`),
  ].join('\n');
}

/** The file that the snippet goes into. */
export const workflowFile = {
  github: '.github/workflows/ci.yml',
  gitlab: '.gitlab-ci.yml',
  forgejo: '.forgejo/workflows/ci.yml',
} as const satisfies Record<ForgeKind, string>;
