import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { seal, unsafeDb } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { forgeOf, type ForgeConnectionValue } from '#lib/forge/index.ts';
import { appendAudit, type PersonCtx } from '#lib/tenant/index.ts';
import { openConnection } from './connections.ts';
import { assertAnswers, CaBundle } from './new-forge.ts';
import { connectionPlace } from './places.ts';
import { RunnerEgress } from './runner-egress.ts';
import { wakeServedBy } from './served.ts';
import { newSecret, withNewSecret, type GiveSecret } from './webhook-secret.ts';

/*
 * What may be changed of a forge that is entered: who vouches for it, where runners reach it, and the secrets that it and
 * the portal share. Its address and its id are what everything hangs on, and stay. Each is tried before it is kept.
 */

export const ChangeForgeInput = z.strictObject({
  connectionId: z.string().min(1).max(100),
  caBundle: CaBundle,
  runnerEgress: RunnerEgress.default(null),
  /** Empty: the one that is there stays. */
  clientSecret: z
    .string()
    .trim()
    .max(300)
    .transform((text) => text || null)
    .default(null),
  newWebhookSecret: z
    .literal('yes')
    .optional()
    .transform((said) => said === 'yes'),
});
export type ChangeForgeInput = z.output<typeof ChangeForgeInput>;

/**
 * Takes an operator's changes in and wakes what they concern. A new webhook secret is made here: GitHub is given that of its
 * App at once; elsewhere each enrollment's hook is given its own at the next look. What is sent between the two is refused, and
 * only puts off when we look.
 */
export async function changeForge(by: PersonCtx, input: ChangeForgeInput): Promise<void> {
  if (!by.person.isOperator) throw notFound();
  const { connectionId: id, caBundle, runnerEgress, clientSecret } = input;
  const before = await unsafeDb().forgeConnection.findUnique({ where: { id } });
  if (!before) throw notFound('This forge');
  const connection = { ...(await openConnection(id)), caBundle: caBundle ?? undefined };
  if (caBundle !== before.caBundle) await assertAnswers({ ...before, caBundle }, 'caBundle');
  if (clientSecret !== null) await assertClientSecret(connection, clientSecret);
  if (input.newWebhookSecret) assertSigns(connection);
  await withNewSecret(async (tx, give) => {
    await tx.$queryRaw`select 1 from forge_connection where id = ${id} for no key update nowait`;
    const webhookSecret = input.newWebhookSecret ? await secretFor(connection, give) : null;
    const data = {
      caBundle,
      runnerEgress,
      ...(clientSecret === null
        ? {}
        : { sealedClientSecret: await seal(clientSecret, connectionPlace(id, 'client_secret')) }),
      ...(webhookSecret === null
        ? {}
        : { sealedWebhookSecret: await seal(webhookSecret, connectionPlace(id, 'webhook_secret')) }),
    };
    await tx.forgeConnection.update({ where: { id }, data });
    await wakeServedBy(tx, { connectionId: id });
    await appendAudit(tx, by, null, {
      action: 'forge:change',
      target: `forge/${id}`,
      before: { ownAuthority: before.caBundle !== null, runnerEgress: before.runnerEgress },
      after: {
        ownAuthority: caBundle !== null,
        runnerEgress,
        replaced: [
          ...(clientSecret === null ? [] : ['client secret']),
          ...(webhookSecret === null ? [] : ['webhook secret']),
        ],
      },
    });
  });
}

/**
 * A grant that nobody gave, asked for with the new secret: the forge looks at who asks before it looks at the grant, and
 * refuses either in words of its own.
 */
async function assertClientSecret(connection: ForgeConnectionValue, clientSecret: string): Promise<void> {
  const { signIn } = forgeOf({ ...connection, clientSecret });
  const refused = await signIn.refresh(randomBytes(20).toString('hex')).then(
    () => null,
    (error: unknown) => error,
  );
  if (!(refused instanceof AppError)) throw refused ?? invalidFields({ clientSecret: 'could not be tried' });
  if (refused.code === 'unauthenticated') return;
  const why = refused.code === 'forbidden' ? 'is not the one that the forge knows' : refused.screen.happened;
  throw invalidFields({ clientSecret: why }, 'The new secret was tried at the forge.');
}

function assertSigns({ kind, app }: ForgeConnectionValue): void {
  if (kind === 'github' && !app) throw invalidFields({ newWebhookSecret: 'This forge has no App that signs.' });
}

/** GitHub signs with one secret for its App; elsewhere each enrollment's hook gets one that is made of this. */
async function secretFor(connection: ForgeConnectionValue, give: GiveSecret): Promise<string> {
  return connection.kind === 'github' ? give(connection) : newSecret();
}
