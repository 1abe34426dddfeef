import type { UnsafeTx } from '../db/index.ts';
import type { Webhook, WebhookReader } from '../forge/index.ts';
import { wantCheck } from '../tenant/index.ts';

/** Somebody came to an account or a team, or went: a reason to ask the forge about them, and no word on what it will say. */
export async function lookAtPeople(
  tx: UnsafeTx,
  connectionId: string,
  reader: WebhookReader,
  { payload }: Webhook,
): Promise<void> {
  const accountId = reader.readAccountId(payload);
  if (accountId === null) return;
  await wantCheck(tx, { connectionId, accountId, subject: reader.readPerson(payload) });
}
