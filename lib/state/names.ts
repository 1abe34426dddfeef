import { z } from 'zod';

/** A stack as it stands in an address: nothing that a path, a shell or a file name would read otherwise. */
export const StackName = z
  .string()
  .trim()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    'is 1 to 63 small letters, digits and hyphens, and begins and ends with none of the last',
  );

/** A credential's name is the user name of HTTP's Basic scheme, which may hold no colon. */
export const CredentialName = StackName;

/** Where a version is sealed for. */
export function versionPlace(stackId: string, versionId: string): string {
  return `state/${stackId}/version/${versionId}`;
}
