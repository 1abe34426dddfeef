import { z } from 'zod';

/** The only reader of the environment. Every variable is optional until the part that needs it asks, and says its name. */
const Env = z.object({
  NODE_ENV: z.enum(['development', 'production', 'test']).default('development'),
  /** The application role's connection: it owns nothing and row security binds it. */
  DATABASE_URL: z.url().optional(),
  /** Where people reach the portal, without a trailing slash. */
  PORTAL_URL: z.url().default('http://localhost:3000'),
  /** Base64 of 32 bytes; seals what is secret in the database and signs cookies. */
  FLYWHEEL_SECRET_KEY: z
    .string()
    .refine((key) => Buffer.from(key, 'base64').length === 32, 'must be base64 of 32 bytes')
    .optional(),
  /** Who operates: `<connection>:<subject>`, separated by commas. */
  FLYWHEEL_OPERATORS: z.string().default(''),
  /** `1` lets an operator decide what they asked for themselves, or what a tenant of theirs did. */
  FLYWHEEL_OPERATORS_APPROVE_OWN: z.enum(['0', '1']).default('0'),
  /** `1` lets forges and caches live on loopback; never set it where people work. */
  FLYWHEEL_SANDBOX: z.enum(['0', '1']).default('0'),
  /** Hosts of forges and caches that live in a private network, separated by commas; every other private address is refused. */
  FLYWHEEL_PRIVATE_HOSTS: z
    .string()
    .default('')
    .transform((list) => list.split(',').map((host) => host.trim().toLowerCase()))
    .transform((hosts) => hosts.filter((host) => host !== '')),
  KUBECONFIG: z.string().optional(),
  /**
   * Days for which it is remembered that a delivery was taken: one that is forgotten while its forge can send it again would
   * count twice. GitHub can for 3 days and its Enterprise Server for 7 (https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks);
   * Forgejo and Gitea as long as they keep it, which is 7 days unless told otherwise (`[cron.cleanup_hook_task_table]`).
   */
  FLYWHEEL_DELIVERY_DAYS: z.coerce.number().int().min(8).max(3650).default(30),
  /** For how many minutes a step of a budget's limit is told of before it is taken. */
  FLYWHEEL_BUDGET_NOTICE_MINUTES: z.coerce.number().int().min(0).max(10_080).default(60),
  /** Whose name stands on statements and in exports. */
  FLYWHEEL_INVOICE_ISSUER: z.string().min(1).max(100).default('GloriousFlywheel'),
  /** For how many days raw readings are kept; what was rolled up of them stays. */
  FLYWHEEL_READING_DAYS: z.coerce.number().int().min(62).max(3650).default(400),
  /** Worker tasks at once. */
  FLYWHEEL_WORKER_CONCURRENCY: z.coerce.number().int().min(1).max(64).default(8),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
});
export type Env = z.infer<typeof Env>;

let parsed: Env | undefined;

export function env(): Env {
  if (parsed) return parsed;
  const result = Env.safeParse(process.env);
  if (!result.success) {
    throw new Error(
      `Configuration: ${result.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`).join('; ')}`,
    );
  }
  parsed = result.data;
  return parsed;
}

/** A variable that this part cannot do without. */
export function required<Name extends keyof Env>(name: Name): NonNullable<Env[Name]> {
  const value = env()[name];
  if (value === undefined || value === null || value === '') throw new Error(`Configuration: ${name} is not set.`);
  return value;
}
