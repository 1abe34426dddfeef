import { z } from 'zod';
import {
  Condition,
  EnrollmentSpec,
  forgeKinds,
  requestKinds,
  scopeLevels,
  tenantKinds,
  viewTrusts,
} from '#lib/model/index.ts';
import { actingRoles, apiScopes } from '#lib/tenant/index.ts';

/* What is answered. Each answer is cut to its shape, so that what is new inside is not told outside by itself. */

const at = z.iso.datetime();
const atOrNull = at.nullable();
const text = z.string();
const count = z.int().min(0);
/** Money and quantities are exact: a number of JSON would not be. */
const decimal = z
  .string()
  .regex(/^-?\d+(\.\d+)?$/)
  .describe('An exact decimal.');
const waitingFor = Condition.shape.waitingFor;

/** As it is told: its parts have no defaults any more. */
const QuotaShape = z.object({ cpu: text, memory: text, runners: count, storage: text });
const ScopeShape = z.object({ forge: text, level: z.enum(scopeLevels), path: text });

export const TokenShape = z.object({
  id: z.guid(),
  name: text,
  person: text,
  tenant: text.nullable(),
  scopes: z.array(z.enum(apiScopes)),
  createdAt: at,
  expiresAt: at,
  usedAt: atOrNull,
  standing: z.enum(['works', 'ended', 'revoked']),
  revokedBy: text.nullable(),
});

export const MeShape = z.object({
  name: text,
  isOperator: z.boolean(),
  accounts: z.array(z.object({ connection: text, forge: z.enum(forgeKinds), subject: text, login: text })),
  token: z.object({
    id: z.guid(),
    name: text,
    tenantId: z.guid().nullable(),
    scopes: z.array(z.enum(apiScopes)),
    expiresAt: at,
  }),
});

export const ForgeShape = z.object({ id: text, kind: z.enum(forgeKinds), name: text, baseUrl: text });

export const TenantChoiceShape = z.object({ slug: text, displayName: text, role: z.enum(actingRoles) });

const states = ['draft', 'active', 'suspended', 'leaving', 'left'] as const;

export const TenantShape = z.object({
  id: z.guid(),
  slug: text,
  displayName: text,
  kind: z.enum(tenantKinds),
  isDefault: z.boolean(),
  state: z.enum(states),
  suspendReason: text.nullable(),
  cluster: text,
  quota: QuotaShape,
  role: z.enum(actingRoles),
});

const memberRoles = ['admin', 'member', 'billing'] as const;
export const MemberShape = z.object({
  userId: z.guid(),
  name: text,
  logins: z.array(z.object({ forge: text, login: text })),
  role: z.enum(memberRoles).nullable().describe('Null is kept out, though the forge counts them in.'),
  source: z.enum(['forge', 'operator', 'invitation']),
  told: z.array(z.object({ forge: text, role: z.enum(memberRoles) })).describe('What each forge says.'),
  override: z
    .enum([...memberRoles, 'none'])
    .nullable()
    .describe('What was set here.'),
  setBy: text.nullable(),
  setAt: atOrNull,
  checkedAt: at,
});

export const TenantRowShape = z.object({
  slug: text,
  displayName: text,
  kind: z.enum(tenantKinds),
  state: z.enum(states),
  cluster: text,
  enrollments: count,
});

const enrollmentStates = ['draft', 'active', 'withdrawing', 'withdrawn'] as const;

export const EnrollmentSummaryShape = z.object({
  id: z.guid(),
  name: text,
  scope: ScopeShape,
  forgeName: text,
  forgeKind: z.enum(forgeKinds),
  state: z.enum(enrollmentStates),
  ready: z.boolean(),
  headline: text,
  waitingFor,
  since: text.nullable(),
  labels: z.array(text),
});

const planKinds = ['enroll', 'change', 'withdraw'] as const;
const planStates = ['open', 'waiting', 'approved', 'stale', 'discarded'] as const;

const LivePoolShape = z.object({
  pool: text,
  label: text,
  enrollmentId: z.guid(),
  minRunners: count,
  maxRunners: count,
  queued: count,
  pending: count,
  running: count,
  idle: count,
  places: count,
  failed: count,
  observedAt: atOrNull,
});

export const EnrollmentShape = EnrollmentSummaryShape.extend({
  spec: EnrollmentSpec.nullable().describe('What was approved last; null of a draft.'),
  phases: z.array(
    z.object({
      type: text,
      label: text,
      status: Condition.shape.status,
      reason: text,
      message: text,
      waitingFor,
      since: text.nullable(),
    }),
  ),
  pools: z.array(LivePoolShape.extend({ cpu: text, memory: text, snippet: text })),
  planes: z.object({
    attic: z
      .object({
        view: text,
        publicKey: text.nullable(),
        isPublic: z.boolean(),
        url: text,
        tokenExpiresAt: atOrNull,
      })
      .nullable(),
    bazel: z.boolean(),
  }),
  generation: count,
  observedGeneration: count,
  createdAt: at,
  approvedAt: atOrNull,
  readyAt: atOrNull,
  withdrawnAt: atOrNull,
  history: z.array(
    z.object({
      id: z.guid(),
      kind: z.enum(planKinds),
      state: z.enum(planStates),
      createdAt: at,
      decidedAt: atOrNull,
    }),
  ),
});

const places = ['forge', 'cluster', 'cache'] as const;

const clusterChecked = z
  .boolean()
  .describe('False where the cluster did not answer: what would be written is then unchecked.');

const Changes = z.object({
  counts: z.object({ added: count, changed: count, removed: count, unchanged: count }),
  groups: z.array(
    z.object({
      where: z.enum(places),
      changes: z.array(
        z.object({
          where: z.enum(places),
          op: z.enum(['+', '~', '-', '=']),
          kind: text,
          name: text,
          namespace: text.optional(),
          fields: z.array(z.object({ path: text, before: text.optional(), after: text.optional() })),
          yaml: text.optional(),
        }),
      ),
    }),
  ),
});

export const PlanShape = Changes.extend({
  id: z.guid(),
  enrollmentId: z.guid(),
  kind: z.enum(planKinds),
  state: z.enum(planStates),
  clusterChecked,
  createdAt: at,
  decidedAt: atOrNull,
});

export const PreviewShape = Changes.extend({
  kind: z.enum(planKinds),
  clusterChecked,
  differs: z
    .boolean()
    .describe('Whether there is anything to approve: secrets that are renewed by themselves do not count.'),
});

export const AppliedShape = z.object({
  state: z.enum(['applied', 'waiting']),
  requestId: z.guid().nullable().describe('The request that waits for an operator.'),
});

/** Done, or asked for. */
export function applied(requestId: string | null): z.input<typeof AppliedShape> {
  return { state: requestId === null ? 'applied' : 'waiting', requestId };
}

const Wanted = z.object({
  quota: QuotaShape.optional(),
  parent: text.nullable().optional(),
  pools: z.array(z.object({ pool: text, minRunners: count, maxRunners: count })).optional(),
});
const requestStates = ['open', 'asked_back', 'approved', 'rejected', 'withdrawn'] as const;

export const RequestShape = z.object({
  id: z.guid(),
  kind: z.enum(requestKinds),
  state: z.enum(requestStates),
  wanted: Wanted,
  granted: Wanted.nullable(),
  planId: z.guid().nullable(),
  createdBy: text,
  createdAt: at,
  decidedBy: text.nullable(),
  decidedAt: atOrNull,
});
export const RequestWithMessagesShape = RequestShape.extend({
  messages: z.array(z.object({ at, actor: text, step: text, text })),
});
export const ApprovalRowShape = RequestShape.extend({
  tenant: z.object({ slug: text, displayName: text, kind: z.enum(tenantKinds) }),
});

export const CatalogPoolShape = z.object({
  name: text,
  description: text,
  cpu: text.nullable(),
  memory: text.nullable(),
  storage: text,
  image: text,
  imageDigest: text.nullable(),
  devices: z.record(z.string(), count),
  runnersMost: count.nullable(),
  securityClass: text,
  requiresApproval: z.boolean(),
  pricePerRunnerHour: decimal.nullable(),
  currency: text.nullable(),
});

const QuotaPart = z.object({ used: text, promised: text, quota: text, usedShare: z.number() });
export const PoolsNowShape = z.object({
  pools: z.array(LivePoolShape.extend({ room: count })),
  runners: z.array(
    z.object({
      uid: text,
      name: text,
      label: text,
      state: z.enum(['starting', 'idle', 'place', 'running', 'failed']),
      reason: text.nullable(),
      node: text.nullable(),
      createdAt: at,
      job: z
        .object({ repository: text, workflow: text.nullable(), name: text.nullable(), startedAt: atOrNull })
        .nullable(),
    }),
  ),
  quota: z.object({ cpu: QuotaPart, memory: QuotaPart, runners: QuotaPart }),
});

export const JobShape = z.object({
  key: text,
  repository: text,
  workflow: text.nullable(),
  name: text.nullable(),
  label: text,
  standing: z.enum(['queued', 'running', 'success', 'failure', 'cancelled', 'other', 'unknown']),
  conclusion: text.nullable(),
  runner: text.nullable(),
  queuedAt: atOrNull,
  startedAt: atOrNull,
  completedAt: atOrNull,
  waitSeconds: z.number().nullable(),
  runSeconds: z.number().nullable(),
});

const seconds = z.number().nullable();
const ends = { succeeded: count, failed: count, other: count };
const Waits = z.object({ began: count, p50: seconds, p90: seconds, p99: seconds });
export const UsageShape = z.object({
  from: at,
  to: at,
  stepSeconds: count,
  steps: z.array(Waits.extend({ at, busy: z.number(), ...ends })),
  total: Waits.extend({ busySeconds: z.number(), ...ends }),
  byPool: z.array(Waits.extend({ label: text, ...ends })),
});

export const CostsShape = z.object({
  period: text,
  currency: text,
  isOpen: z.boolean(),
  total: decimal,
  listCost: decimal,
  commitment: decimal,
  forecast: z.object({ total: decimal, basis: text }).nullable(),
  before: z.object({ period: text, toDate: decimal, whole: decimal }),
  series: z.array(z.object({ at: text, cost: decimal })),
  rows: z.array(
    z.object({
      key: text,
      label: text,
      runnerSeconds: decimal,
      own: decimal,
      shared: decimal,
      cost: decimal,
      share: z.number(),
    }),
  ),
  waste: z.array(z.object({ kind: z.enum(['idle', 'failed', 'oversize']), what: text, cost: decimal, todo: text })),
  unpriced: z.array(z.object({ what: text, quantity: decimal, unit: text })),
  unattributed: decimal,
});

export const StatementShape = z.object({
  tenant: text,
  slug: text,
  period: text,
  number: text,
  currency: text,
  total: decimal,
  closedAt: at,
});

export const BudgetShape = z.object({
  id: z.guid(),
  name: text,
  of: text,
  amount: decimal,
  currency: text,
  spent: decimal,
  percent: z.number(),
  thresholds: z.array(z.number()),
  isLimit: z.boolean(),
  step: count,
  stepWords: text.nullable(),
  announced: z.object({ words: text, at }).nullable(),
  isLifted: z.boolean(),
});

export const ViewShape = z.object({
  id: z.guid(),
  name: text,
  label: text,
  trust: z.enum(viewTrusts),
  isPublic: z.boolean(),
  priority: count,
  upstreamKeys: z.array(text),
  retentionSeconds: count.nullable(),
  publicKey: text.nullable(),
  substituterUrl: text.nullable(),
  observedAt: atOrNull,
  isSettled: z.boolean(),
  isRemoving: z.boolean(),
  trouble: text.nullable(),
  isEnrolled: z.boolean(),
  size: z
    .object({
      value: z.object({ objects: count, logicalBytes: count, storedBytes: count, lastUsedAt: atOrNull }),
      at,
    })
    .nullable(),
});

export const CacheTokenShape = z.object({
  id: z.guid(),
  kind: z.enum(['runner', 'person']),
  holder: text,
  isOwn: z.boolean(),
  scope: z.array(z.object({ view: text, may: z.enum(['r', 'rw']) })),
  usedIn: text,
  issuedAt: at,
  expiresAt: at,
  standing: z.enum(['works', 'ends-soon', 'replaced', 'revoked', 'key-changed', 'ended']),
  isAccepted: z.boolean(),
  revokedBy: text.nullable(),
});
export const CacheTokenOnceShape = z.object({
  token: text.describe('Told this once.'),
  tokenId: z.guid(),
  expiresAt: at,
  netrc: text,
  nixConf: text,
  shell: text,
});
export const RevokedShape = z.object({
  acceptedUntil: at.describe('Until when the server takes it all the same.'),
  isReplaced: z.boolean(),
});

export const CredentialShape = z.object({
  id: text,
  enrollmentId: z.guid().nullable(),
  enrollment: text,
  forgeKind: z.enum(forgeKinds),
  forgeName: text,
  kind: text,
  purpose: text,
  owner: text,
  keptAt: at,
  usedAt: atOrNull,
  untoldBy: text.nullable(),
  expiresAt: atOrNull,
  renewedBy: z.enum(['portal', 'person']),
  standing: z.enum(['works', 'ends-soon', 'ended']),
});

export const AuditShape = z.object({
  id: z.guid(),
  number: text.describe('In the chain of its tenant.'),
  at,
  actor: text,
  action: text,
  target: text,
  requestId: text.nullable(),
  changes: z.array(z.object({ path: text, before: text.nullable(), after: text.nullable() })),
});

const LockShape = z.object({
  id: text,
  who: text,
  operation: text,
  toolVersion: text,
  credential: text,
  since: at,
});
export const StackShape = z.object({
  name: text,
  description: text,
  versions: count,
  newest: z
    .object({
      number: count,
      serial: text.nullable(),
      bytes: count,
      resources: count.nullable(),
      at,
      by: text,
    })
    .nullable(),
  lock: LockShape.nullable(),
});
export const StackVersionShape = z.object({
  number: count,
  kind: z.enum(['write', 'rollback', 'purge']),
  ofNumber: count.nullable(),
  serial: text.nullable(),
  lineage: text.nullable(),
  isEncrypted: z.boolean(),
  bytes: count,
  resources: count.nullable(),
  toolVersion: text.nullable(),
  who: text.nullable(),
  operation: text.nullable(),
  credential: text.nullable(),
  at,
});

/** RFC 9457, with the portal's own words beside. */
export const Problem = z.object({
  type: text,
  title: text,
  status: z.int(),
  detail: text,
  code: text,
  changed: text.describe('Whether anything was changed.'),
  todo: text.optional(),
  errors: z.record(z.string(), text).optional().describe('By field, where one is to blame.'),
  requestId: text,
});
