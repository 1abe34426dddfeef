import { env } from '#lib/env.ts';
import type { AtScope, ScopeCredential } from '#lib/forge/index.ts';
import { keptCredential } from './credentials.ts';
import type { EnrollmentRow } from './rows.ts';

/** What the enrollment acts by at its forge: an App's installation, or the access token that was entered; null without either. */
async function credentialOf(row: EnrollmentRow): Promise<ScopeCredential | null> {
  if (row.installationId !== null) return { kind: 'installation', installationId: row.installationId };
  const token = await keptCredential(row, 'forge-token');
  return token && { kind: 'token', token: token.value };
}

/** The enrolled scope and the power over it, as the forge's port wants them; null where that power is missing. */
export async function atScope(row: EnrollmentRow, signal?: AbortSignal): Promise<AtScope | null> {
  const credential = await credentialOf(row);
  const { level, scopeId, path } = row;
  return credential && { credential, level, scopeId, path, signal };
}

/** Where the scope's own webhook sends its events, at forges that have one for each scope. */
export function webhookUrl({ connectionId, id }: Pick<EnrollmentRow, 'connectionId' | 'id'>): string {
  return `${env().PORTAL_URL}/api/hooks/${connectionId}/${id}`;
}
