import type { AtScope } from '#lib/forge/index.ts';
import type { EnrollmentRow } from './rows.ts';

/** The enrolled scope and the power over it, as the forge's port wants them; null where the App is not installed there. */
export function atScope(row: EnrollmentRow, signal?: AbortSignal): AtScope | null {
  const { installationId, level, scopeId, path } = row;
  if (installationId === null) return null;
  return { credential: { kind: 'installation', installationId }, level, scopeId, path, signal };
}
