import { downloadState } from '#lib/state/index.ts';
import { operatorRoute } from '#lib/tenant/index.ts';

export const GET = operatorRoute<{ stack: string; version: string }>('operator:change', (by, _, { stack, version }) =>
  downloadState(by, stack, version),
);
