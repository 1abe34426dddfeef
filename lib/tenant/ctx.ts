import type { ForgeKind, TenantKind, Quota } from '#lib/model/index.ts';
import type { TenantDb, TenantState, TenantTx } from '#lib/db/index.ts';
import type { ActingRole } from './permission.ts';

/** One account of the person on one forge. (connection, subject) is who they are; the login may change. */
export type PersonIdentity = {
  id: string;
  connectionId: string;
  forge: ForgeKind;
  subject: string;
  login: string;
};

export type Person = {
  userId: string;
  name: string;
  imageUrl: string | null;
  identities: PersonIdentity[];
  isOperator: boolean;
};

/** The signed-in browser that asks, and when its person last showed the forge that it is they. */
export type AskingSession = { id: string; authenticatedAt: Date };

/** Who asks, where no tenant is meant yet. `session` is missing where no browser asks; `token` is there where a program does. */
export type PersonCtx = { person: Person; requestId: string; session?: AskingSession; token?: { name: string } };

/** What an audit record says beside who, when and for which tenant. Secrets never go in. */
export type AuditEntry = {
  action: string;
  target: string;
  before?: unknown;
  after?: unknown;
};

export type CtxTenant = {
  id: string;
  slug: string;
  displayName: string;
  kind: TenantKind;
  isDefault: boolean;
  state: TenantState;
  /** Why it is suspended; null while it is not. */
  suspendReason: string | null;
  clusterId: string;
  quota: Quota;
};

/** Who asks, for whom, with a client that sees that tenant alone. */
export type Ctx = PersonCtx & {
  tenant: CtxTenant;
  role: ActingRole;
  db: TenantDb;
  /** Appends to the audit within the transaction of the change it tells of. */
  audit: (tx: TenantTx, entry: AuditEntry) => Promise<void>;
};
