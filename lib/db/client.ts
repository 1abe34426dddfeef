import { PrismaPg } from '@prisma/adapter-pg';
import { required } from '../env.ts';
import { type Prisma, PrismaClient } from './generated/client.ts';
import { tenantModels } from './models.ts';

const poolSizeMax = 10;
/** Every call of a tenant's client is a transaction: with Prisma's own two seconds a burst would fail rather than queue. */
const transactionOptions = { maxWait: 10_000, timeout: 20_000 };

type Clients = { app: PrismaClient; system: PrismaClient };

// Next.js loads a module once for each bundle; the pools must be one a process.
const held = globalThis as typeof globalThis & { flywheelClients?: Clients | undefined };

export function databaseUrl(): string {
  return required('DATABASE_URL');
}

/**
 * A statement that is asked all the time begins with `/* prepared: name *\/`, and each connection plans it once: without a name
 * Postgres plans it anew each time, which for a small one is half of the work. A name is of one text. Others stay unnamed: a plan
 * that is kept knows no values, and what is asked of millions of rows wants one that does.
 */
const preparedName = ({ sql }: { sql: string }): string => /^\s*\/\* prepared: (\w+) \*\//.exec(sql)?.[1] ?? '';

function connect(role: 'flywheel_app' | 'flywheel_system'): PrismaClient {
  const options = role === 'flywheel_system' ? '-c role=flywheel_system' : undefined;
  return new PrismaClient({
    transactionOptions,
    adapter: new PrismaPg(
      { connectionString: databaseUrl(), max: poolSizeMax, ...(options ? { options } : {}) },
      { statementNameGenerator: preparedName },
    ),
  });
}

function clients(): Clients {
  held.flywheelClients ??= { app: connect('flywheel_app'), system: connect('flywheel_system') };
  return held.flywheelClients;
}

/** Ends all connections: for tests and for a process that stops. */
export async function closeDb(): Promise<void> {
  const open = held.flywheelClients;
  held.flywheelClients = undefined;
  if (open) await Promise.all([open.app.$disconnect(), open.system.$disconnect()]);
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function assertTenantId(tenantId: string): void {
  // The type is asked too: a list of one id would pass the pattern as its text.
  if (typeof tenantId !== 'string' || !uuid.test(tenantId)) throw new TypeError('tenantDb needs a tenant id');
}

type Args = { where?: object; data?: object | object[]; create?: object; update?: object };

const readsAndWritesByWhere = new Set([
  'findUnique',
  'findUniqueOrThrow',
  'findFirst',
  'findFirstOrThrow',
  'findMany',
  'count',
  'aggregate',
  'groupBy',
  'update',
  'updateMany',
  'updateManyAndReturn',
  'delete',
  'deleteMany',
]);

/** The first fence: the query names its tenant, whatever its caller wrote. */
function withinTenant(model: string, operation: string, args: Args, tenantId: string): Args {
  const column = tenantModels[model as keyof typeof tenantModels];
  if (!column) return args;
  if (readsAndWritesByWhere.has(operation)) return { ...args, where: { ...args.where, [column]: tenantId } };
  const stamp = (row: object) => ({ ...row, [column]: tenantId });
  if (operation === 'upsert') {
    return { ...args, where: { ...args.where, [column]: tenantId }, create: stamp(args.create ?? {}) };
  }
  const data = args.data ?? {};
  return { ...args, data: Array.isArray(data) ? data.map(stamp) : stamp(data) };
}

function scoped(tenantId: string) {
  const base = clients().app;
  return base.$extends({
    query: {
      $allModels: {
        async $allOperations({ model, operation, args, query }) {
          const [, result] = await base.$transaction([
            base.$executeRaw`select set_config('app.tenant_id', ${tenantId}, true)`,
            query(
              withinTenant(model, operation, args as Args, tenantId) as typeof args,
            ) as Prisma.PrismaPromise<unknown>,
          ]);
          return result;
        },
      },
    },
  });
}

/** A client that sees one tenant. Each call is a transaction of its own. */
export function tenantDb(tenantId: string): TenantDb {
  assertTenantId(tenantId);
  return scoped(tenantId) as unknown as TenantDb;
}

/** Several statements in one transaction that sees one tenant by row security. */
export async function tenantTransaction<T>(tenantId: string, run: (tx: TenantTx) => Promise<T>): Promise<T> {
  assertTenantId(tenantId);
  return clients().app.$transaction(async (tx) => {
    await tx.$executeRaw`select set_config('app.tenant_id', ${tenantId}, true)`;
    return run(tx);
  });
}

/** Sees every tenant. Its name is to be noticed in review; callers are listed in safety.test.ts. */
export function unsafeDb(): UnsafeDb {
  return clients().system;
}

export async function unsafeTransaction<T>(run: (tx: UnsafeTx) => Promise<T>): Promise<T> {
  return clients().system.$transaction(run);
}

/** No transactions, no raw SQL: those would pass by the first fence. */
export type TenantDb = Omit<PrismaClient, `$${string}`>;
export type TenantTx = Prisma.TransactionClient;
export type UnsafeDb = PrismaClient;
export type UnsafeTx = Prisma.TransactionClient;
