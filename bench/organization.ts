/** The organization of this number, the same for whoever makes it up: the forge, and the portal's database. */
export function organization(index: number): { id: number; login: string; installationId: number } {
  return {
    id: 1_000_000 + index,
    login: `bench-org-${String(index).padStart(5, '0')}`,
    installationId: 2_000_000 + index,
  };
}
