import { forgeOf, type ScopeChoice } from '#lib/forge/index.ts';
import {
  listConnections,
  openConnection,
  userToken,
  type ConnectionChoice,
  type PersonCtx,
} from '#lib/tenant/index.ts';
import { toAppError, type AppError } from '#lib/errors.ts';

export type ScopePage = {
  connection: ConnectionChoice;
  /** Forges that the person is signed in with, to choose among. */
  connections: ConnectionChoice[];
  scopes: ScopeChoice[];
  nextCursor: string | null;
  failure: AppError | null;
};

/** What the person administers on one forge. A forge that is away is a state of this page and no error of it. */
export async function scopePage(
  { person }: PersonCtx,
  asked: { connection?: string | undefined; query?: string | undefined; cursor?: string | undefined },
): Promise<ScopePage | null> {
  const mine = new Set(person.identities.map((identity) => identity.connectionId));
  const connections = (await listConnections()).filter(({ id }) => mine.has(id));
  const connection = connections.find(({ id }) => id === asked.connection) ?? connections[0];
  const identity = person.identities.find(({ connectionId }) => connectionId === connection?.id);
  if (!connection || !identity) return null;
  const page = { connection, connections, failure: null };
  try {
    const forge = forgeOf(await openConnection(connection.id));
    const token = await userToken(identity, (refreshToken) => forge.signIn.refresh(refreshToken));
    const { query, cursor } = asked;
    return { ...page, ...(await forge.listScopes({ userToken: token, query, cursor })) };
  } catch (error) {
    return { ...page, scopes: [], nextCursor: null, failure: toAppError(error) };
  }
}
