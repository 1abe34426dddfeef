import { z } from 'zod';

/* What the page of health is made of, as values: what processes tell of themselves, and what the database says. */

const At = z.number().nullable();
const Standing = z.object({ answeredAt: At, failedAt: At, failure: z.string().nullable() });
const Allowance = z.object({ remaining: z.number(), limit: z.number(), resetsAt: z.number() });

/** What a process tells of itself, and of the others that it asked; instants are Unix milliseconds by its own clock. */
export const ProcessFacts = z.object({
  memoryBytes: z.number(),
  /** Migrations that its version needs. */
  needs: z.array(z.string()),
  forges: z.record(z.string(), Standing.extend({ allowance: Allowance.nullable() })),
  clusters: z.record(z.string(), Standing),
});
export type ProcessFacts = z.infer<typeof ProcessFacts>;
export type Standing = z.infer<typeof Standing>;
export type Allowance = z.infer<typeof Allowance>;

export type ProcessSeen = {
  id: string;
  kind: 'web' | 'worker';
  host: string;
  startedAt: string;
  seenAt: string;
  /** By the database's clock. */
  silentSeconds: number;
  isStopped: boolean;
  memoryBytes: number;
  missingMigrations: string[];
};

export type FailingKey = {
  task: string;
  key: string;
  /** What it is, for people: `cmux / lab`. */
  name: string | null;
  href: string | null;
  attempts: number;
  reason: string;
  nextAt: string;
};

export type ClusterSeen = Standing & {
  id: string;
  name: string;
  controllerVersion: string | null;
  controllerSeenAt: string | null;
  /** Enrollments that want something of it. */
  enrollments: number;
  /** Whether one of them is at GitHub, whose runners a controller in the cluster makes. */
  needsController: boolean;
  /** Since what runs was last read; null where it never was. */
  meteringSeconds: number | null;
  /** Workers that run and that it does not answer, whatever it answers others. */
  cutOff: { host: string; failure: string }[];
};

export type ForgeSeen = Standing & {
  id: string;
  name: string;
  kind: string;
  allowance: Allowance | null;
  lastDeliveryAt: string | null;
  enrollments: number;
};

export type QueueSeen = { task: string; keys: number; due: number; held: number; failing: number; ageSeconds: number };

export type UnsentSeen = {
  tenant: string;
  endpointId: string;
  ageSeconds: number;
  overdueSeconds: number;
  tries: number;
};

export type DatabaseSeen = {
  answerMs: number;
  connections: number;
  connectionsMost: number;
  sizeBytes: number;
  isReadOnly: boolean;
  lastMigration: string | null;
  /** Begun, and neither ended nor rolled back. */
  unfinishedMigrations: string[];
};

export type StatusFacts = {
  at: string;
  processes: ProcessSeen[];
  queue: QueueSeen[];
  failing: { count: number; shown: FailingKey[] };
  clusters: ClusterSeen[];
  forges: ForgeSeen[];
  unsent: UnsentSeen | null;
  database: DatabaseSeen;
};
