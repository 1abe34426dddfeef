/** Where each secret that an operator enters is sealed to: the place is bound into the ciphertext. */
export function connectionPlace(id: string, what: 'client_secret' | 'private_key' | 'webhook_secret'): string {
  return `forge_connection/${id}/${what}`;
}

/** An organization's own App is a tenant's: its secrets open for that tenant's row alone. */
export function githubAppPlace(row: { tenantId: string; id: string }, what: 'private_key' | 'webhook_secret'): string {
  return `tenant/${row.tenantId}/github_app/${row.id}/${what}`;
}
