import { downloadState } from '#lib/state/index.ts';
import { operatorRoute } from '#lib/tenant/index.ts';

/** All that a stack's credential opens, secrets in plain text: as a credential is given out, so is this. */
export const GET = operatorRoute<{ stack: string; version: string }>(
  'operator:change',
  (by, _, { stack, version }) => downloadState(by, stack, version),
  { fresh: true },
);
