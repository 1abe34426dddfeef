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

/**
 * By which a hook is known to be made with this secret, since no forge shows one again: 8 hex digits, which tell nothing of it.
 */
export function secretMark(secret: string): string {
  return createHmac('sha256', secret).update('flywheel hook: mark').digest('hex').slice(0, 8);
}
