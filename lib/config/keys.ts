import { z } from 'zod';

/* Every setting, with what it is. docs/configuration.md is written from this and from nothing else. */

export const sections = {
  needed: 'What production needs',
  database: 'The database',
  people: 'Who operates',
  worlds: 'Clusters and private networks',
  kept: 'What is kept, and for how long',
  money: 'Money',
  process: 'The processes',
} as const;

export type About = {
  section: keyof typeof sections;
  /** What it does, in sentences. */
  does: string;
  example: string;
  /** `production`: web and worker do not go without it; `migrate`: that command alone does not. */
  needed?: 'production' | 'migrate';
  /** Never shown, and may be given as a file: `<NAME>_FILE`. */
  secret?: true;
  /** A list has commas between in the environment, and is a list of YAML in the file; a flag is `true` or `false` there. */
  kind?: 'list' | 'flag';
};

export const about = z.registry<About>();

const postgresUrl = () =>
  z.url({ protocol: /^postgres(ql)?$/, error: 'is to be an address that begins with postgres://' });

const whole = (least: number, most: number) => {
  const error = `is to be a whole number from ${least} to ${most}`;
  return z.coerce.number({ error }).int({ error }).min(least, { error }).max(most, { error });
};

const flag = () => z.enum(['0', '1'], { error: 'is to be 0 or 1' }).default('0');

const list = (text: string) =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');

function isOrigin(text: string): boolean {
  return URL.canParse(text) && new URL(text).origin === text;
}

/** A connection's id, a colon, and the account's id there. */
const operator = /^[a-z0-9][a-z0-9-]{0,59}:[^\s:,]+$/;

function keyProblem(text: string): string | null {
  // Anything may be decoded as base64, more or less.
  if (!/^[A-Za-z0-9+/_-]+={0,2}$/.test(text)) return 'is no base64';
  const { length } = Buffer.from(text, 'base64');
  return length === 32 ? null : `is base64 of ${length} bytes, and is to be of 32`;
}

/** Optional until the part that needs it asks, and says its name. */
const shape = {
  DATABASE_URL: postgresUrl().optional().register(about, {
    section: 'needed',
    does: 'Postgres, as the role `flywheel_app`: it owns nothing, and row security binds it.',
    example: 'postgres://flywheel_app:…@db.internal:5432/flywheel',
    needed: 'production',
    secret: true,
  }),
  PORTAL_URL: z
    .string()
    .refine(isOrigin, 'is to be an origin such as https://flywheel.example.org, with no path and no slash at its end')
    .default('http://localhost:3000')
    .register(about, {
      section: 'needed',
      does: 'Where people reach the portal. Forges send people and webhooks back to it.',
      example: 'https://flywheel.example.org',
      needed: 'production',
    }),
  FLYWHEEL_SECRET_KEY: z
    .string()
    .superRefine((text, context) => {
      const message = keyProblem(text);
      if (message !== null) context.addIssue({ code: 'custom', message });
    })
    .optional()
    .register(about, {
      section: 'needed',
      does: 'Base64 of 32 random bytes (`openssl rand -base64 32`). It seals what is secret in the database, signs cookies, and signs where the audit ends. Without it what it sealed cannot be read.',
      example: '(44 characters of base64)',
      needed: 'production',
      secret: true,
    }),
  FLYWHEEL_OPERATORS: z
    .string()
    .superRefine((text, context) => {
      const wrong = list(text).filter((part) => !operator.test(part));
      if (wrong.length > 0)
        context.addIssue({ code: 'custom', message: `has ${wrong.join(', ')}, which is not <connection>:<subject>` });
    })
    .default('')
    .register(about, {
      section: 'needed',
      does: 'Who operates the platform: `<connection>:<subject>`, the id of a forge connection and the account’s own id there, which no rename changes.',
      example: 'github:1005, gitlab:42',
      needed: 'production',
      kind: 'list',
    }),
  FLYWHEEL_SECRET_KEYS_OLD: z
    .string()
    .default('')
    .transform(list)
    .superRefine((keysOld, context) => {
      // Which of them, and not what it is.
      for (const [index, text] of keysOld.entries()) {
        const message = keyProblem(text);
        if (message !== null)
          context.addIssue({ code: 'custom', message: `has a key, number ${index + 1}, that ${message}` });
      }
    })
    .register(about, {
      section: 'database',
      does: 'Keys that may open and verify beside `FLYWHEEL_SECRET_KEY`, while what they sealed is sealed anew by it: [rotating the secret key](recover.md). None of them seals.',
      example: '(44 characters of base64)',
      kind: 'list',
      secret: true,
    }),
  DATABASE_OWNER_URL: postgresUrl().optional().register(about, {
    section: 'database',
    does: 'Postgres as a role that may create tables and roles. `npm run migrate` alone reads it, once a version; the portal’s processes are better off without it.',
    example: 'postgres://flywheel_owner:…@db.internal:5432/flywheel',
    needed: 'migrate',
    secret: true,
  }),
  FLYWHEEL_OPERATORS_APPROVE_OWN: flag().register(about, {
    section: 'people',
    does: '`1` lets operators decide what they asked for themselves, and what a tenant did that they belong to. The audit says so each time.',
    example: '1',
    kind: 'flag',
  }),
  KUBECONFIG: z.string().optional().register(about, {
    section: 'worlds',
    does: 'The portal’s own cluster: the context of its id, else the current one. Without it the pod’s service account is used. It names no program to run and, but in a sandbox, refers to nothing outside its folder.',
    example: '/etc/flywheel/kubeconfig',
  }),
  FLYWHEEL_CLUSTERS_DIR: z.string().default('/etc/flywheel/clusters').register(about, {
    section: 'worlds',
    does: 'The folder in which kubeconfigs of further clusters are mounted. A cluster names one of its files and a context in it; what that refers to is in the folder too.',
    example: '/etc/flywheel/clusters',
  }),
  FLYWHEEL_PRIVATE_HOSTS: z
    .string()
    .default('')
    .transform((text) => list(text).map((host) => host.toLowerCase()))
    .register(about, {
      section: 'worlds',
      does: 'Hosts of forges and caches that live in a private network. Every other private address is refused.',
      example: 'git.internal, attic.internal',
      kind: 'list',
    }),
  FLYWHEEL_SANDBOX: flag().register(about, {
    section: 'worlds',
    does: '`1` lets forges and caches live on loopback, as `npm start` needs it. Never where people work.',
    example: '0',
    kind: 'flag',
  }),
  /*
   * A delivery that is forgotten while its forge can send it again would count twice. GitHub can for 3 days and its Enterprise
   * Server for 7 (https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks); Forgejo and
   * Gitea as long as they keep it, which is 7 days unless told otherwise (`[cron.cleanup_hook_task_table]`).
   */
  FLYWHEEL_DELIVERY_DAYS: whole(8, 3650).default(30).register(about, {
    section: 'kept',
    does: 'For how many days it is remembered that a webhook delivery was taken, so that one which comes again counts once. Forges send them again for 7 days, a Forgejo that keeps them longer for longer.',
    example: '30',
  }),
  FLYWHEEL_READING_DAYS: whole(62, 3650).default(400).register(about, {
    section: 'kept',
    does: 'For how many days raw readings of use are kept. What was rolled up of them stays.',
    example: '400',
  }),
  FLYWHEEL_BUDGET_NOTICE_MINUTES: whole(0, 10_080).default(60).register(about, {
    section: 'money',
    does: 'For how many minutes a step of a budget’s limit is told of before it is taken.',
    example: '60',
  }),
  FLYWHEEL_INVOICE_ISSUER: z
    .string()
    .min(1, 'is empty')
    .max(100, 'is longer than 100 characters')
    .default('GloriousFlywheel')
    .register(about, {
      section: 'money',
      does: 'Whose name stands on statements and in exports.',
      example: 'Example Platform Team',
    }),
  FLYWHEEL_API_REQUESTS_PER_MINUTE: whole(1, 1_000_000).default(600).register(about, {
    section: 'process',
    does: 'How often one token of the API may ask within a minute, over all web processes.',
    example: '600',
  }),
  FLYWHEEL_WORKER_CONCURRENCY: whole(1, 64).default(8).register(about, {
    section: 'process',
    does: 'How many enrollments a worker looks at at once.',
    example: '8',
  }),
  FLYWHEEL_DRAIN_SECONDS: whole(0, 300).default(0).register(about, {
    section: 'process',
    does: 'For how many seconds a web process that was told to stop, and says that it is not ready, goes on taking requests: as long as it may take until nobody sends it any.',
    example: '10',
  }),
  FLYWHEEL_HEALTH_PORT: whole(1, 65_535).optional().register(about, {
    section: 'process',
    does: 'Where a worker answers the probes `/api/healthz` and `/api/readyz`; without it nowhere. A web process answers them beside its pages.',
    example: '8080',
  }),
  FLYWHEEL_METRICS_PORT: whole(1, 65_535).optional().register(about, {
    section: 'process',
    does: 'The port on which each process, web and worker alike, serves its metrics at `/metrics`, to whoever reaches it; none without it. See [observability.md](observability.md).',
    example: '9464',
  }),
  OTEL_EXPORTER_OTLP_ENDPOINT: z
    .url({ protocol: /^https?$/, error: 'is to be an address that begins with http:// or https://' })
    .optional()
    .register(about, {
      section: 'process',
      does: 'Where each process sends its traces, by OTLP over HTTP (`/v1/traces` below it); without it none are made. See [observability.md](observability.md).',
      example: 'http://otel-collector.observability:4318',
    }),
  OTEL_EXPORTER_OTLP_HEADERS: z
    .string()
    .superRefine((text, context) => {
      const wrong = list(text).filter((part) => !/^[\w-]+=(?:[\x21-\x24\x26-\x7e]|%[\da-f]{2})+$/i.test(part));
      if (wrong.length > 0)
        context.addIssue({
          code: 'custom',
          message: 'has a part that is not <name>=<value>, encoded as in an address',
        });
    })
    .default('')
    .transform(list)
    .register(about, {
      section: 'process',
      kind: 'list',
      does: 'Headers that go with them, such as those a collector knows its senders by.',
      example: 'authorization=Bearer%20…',
      secret: true,
    }),
  OTEL_TRACES_SAMPLER_ARG: z.coerce
    .number({ error: 'is to be a number from 0 to 1' })
    .min(0, { error: 'is to be a number from 0 to 1' })
    .max(1, { error: 'is to be a number from 0 to 1' })
    .default(1)
    .register(about, {
      section: 'process',
      does: 'Which share of the traces is kept, decided where each begins.',
      example: '0.1',
    }),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'silent'], {
      error: 'is to be trace, debug, info, warn, error or silent',
    })
    .default('info')
    .register(about, { section: 'process', does: 'From which level on the log is written.', example: 'info' }),
  NODE_ENV: z
    .enum(['development', 'production', 'test'], { error: 'is to be development, production or test' })
    .default('development')
    .register(about, {
      section: 'process',
      does: '`production` where people work. `npm run web` sets it by itself.',
      example: 'production',
    }),
} as const;

export const Env = z.object(shape);
export type Env = z.infer<typeof Env>;
export type Key = keyof typeof shape;

export const keys = Object.keys(shape) as Key[];

export function aboutKey(key: Key): About {
  const found = about.get(shape[key]);
  if (!found) throw new Error(`${key} is not described`);
  return found;
}

/** What counts where nothing is given, as text; null where there is nothing then. */
export function defaultOf(key: Key): string | null {
  const value: unknown = shape[key].safeParse(undefined).data;
  const text = Array.isArray(value) ? value.join(', ') : String(value ?? '');
  return text === '' ? null : text;
}

/** What of these settings is secret, to be kept out of whatever is written. */
export function secretsIn(settings: Env): string[] {
  return keys.filter((key) => aboutKey(key).secret).flatMap((key) => (settings[key] ?? []) as string | string[]);
}

/** Names of `<NAME>_FILE` by what they stand for. */
export const fileKeys: ReadonlyMap<string, Key> = new Map(
  keys.filter((key) => aboutKey(key).secret).map((key) => [`${key}_FILE`, key]),
);
