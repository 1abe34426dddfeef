import { createHmac } from 'node:crypto';

/**
 * The secret of one enrollment's own webhook, from the connection's. A person who may edit a hook at GitLab or Forgejo can
 * make it sign anything: with a secret of its own, it can only ever speak for its own enrollment (A8, A10).
 */
export function hookSecret(connectionSecret: string, enrollmentId: string): string {
  return createHmac('sha256', connectionSecret)
    .update(`flywheel webhook of enrollment ${enrollmentId}`)
    .digest('base64url');
}
