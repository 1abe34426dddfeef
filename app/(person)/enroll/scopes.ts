import { forgeConnectionsOf, listScopesOf, personTokenAdvice } from '#lib/enrollment/index.ts';
import { toAppError, type AppError } from '#lib/errors.ts';
import type { PersonCtx } from '#lib/tenant/index.ts';

type Connections = Awaited<ReturnType<typeof forgeConnectionsOf>>;
type Scopes = Awaited<ReturnType<typeof listScopesOf>>;

export type ScopePage = {
  connection: Connections[number];
  /** Forges that the person is signed in with, to choose among. */
  connections: Connections;
  /** Null where the forge could not be asked: a state of this page and no error of it. */
  found: Scopes | null;
  failure: AppError | null;
  /** What the person must give first, where the forge's sign-in leaves no token that may be kept. */
  tokenAdvice: Awaited<ReturnType<typeof personTokenAdvice>>;
};

export async function scopePage(
  by: PersonCtx,
  asked: { connection?: string | undefined; query?: string | undefined; cursor?: string | undefined },
): Promise<ScopePage | null> {
  const mine = new Set(by.person.identities.map(({ connectionId }) => connectionId));
  const connections = (await forgeConnectionsOf()).filter(({ id }) => mine.has(id));
  const connection = connections.find(({ id }) => id === asked.connection) ?? connections[0];
  if (!connection) return null;
  try {
    const { query, cursor } = asked;
    const found = await listScopesOf(by, connection.id, { query, cursor });
    return { connection, connections, found, failure: null, tokenAdvice: null };
  } catch (error) {
    const failure = toAppError(error);
    const tokenAdvice = failure.code === 'unauthenticated' ? await personTokenAdvice(connection.id) : null;
    return { connection, connections, found: null, failure: tokenAdvice ? null : failure, tokenAdvice };
  }
}
