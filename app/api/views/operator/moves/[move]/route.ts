import { moveProgress } from '#lib/tenancy/index.ts';
import { operatorView } from '#lib/tenant/index.ts';

export const GET = operatorView('operator:see', (by, { move }: { move: string }) => moveProgress(by, move));
