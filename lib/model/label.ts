import { z } from 'zod';

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

/** What a person writes into a workflow. */
export function workflowSnippet(label: string): string {
  return [
    'jobs:',
    '  build:',
    `    runs-on: ${label}`,
    '    steps:',
    '      - uses: actions/checkout@v5',
    '      - run: echo "on ' + label + '"',
  ].join('\n');
}
