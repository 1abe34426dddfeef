-- CreateEnum
CREATE TYPE "RepairState" AS ENUM ('open', 'approved', 'applied', 'helped', 'failed', 'discarded');

-- CreateEnum
CREATE TYPE "ProofState" AS ENUM ('asked', 'running', 'held', 'broken');

-- CreateTable
CREATE TABLE "finding" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "severity" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "words" TEXT NOT NULL,
    "evidence" JSONB NOT NULL,
    "offers" JSONB NOT NULL,
    "first_seen_at" TIMESTAMPTZ(3) NOT NULL,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL,
    "gone_at" TIMESTAMPTZ(3),

    CONSTRAINT "finding_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "repair" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "finding_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "params" JSONB NOT NULL,
    "changes" JSONB NOT NULL,
    "dry_run" BOOLEAN NOT NULL,
    "state" "RepairState" NOT NULL DEFAULT 'open',
    "created_by_id" UUID,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "decided_by_id" UUID,
    "decided_by" TEXT,
    "decided_at" TIMESTAMPTZ(3),
    "applied_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),
    "outcome" TEXT,

    CONSTRAINT "repair_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "stray_job" (
    "connection_id" TEXT NOT NULL,
    "external_id" TEXT NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "labels" TEXT[],
    "repository" TEXT NOT NULL,
    "workflow" TEXT,
    "name" TEXT,
    "queued_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "stray_job_pkey" PRIMARY KEY ("connection_id","external_id","enrollment_id")
);

-- CreateTable
CREATE TABLE "proof_run" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "state" "ProofState" NOT NULL DEFAULT 'asked',
    "asked_by" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "ended_at" TIMESTAMPTZ(3),
    "checks" JSONB NOT NULL DEFAULT '[]',

    CONSTRAINT "proof_run_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "proof_setting" (
    "enrollment_id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "badge_token" TEXT,
    "repository" TEXT,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "proof_setting_pkey" PRIMARY KEY ("enrollment_id")
);

-- CreateIndex
CREATE INDEX "finding_enrollment_id_gone_at_idx" ON "finding"("enrollment_id", "gone_at");

-- CreateIndex
CREATE INDEX "finding_tenant_id_idx" ON "finding"("tenant_id");

-- CreateIndex
CREATE INDEX "repair_enrollment_id_created_at_idx" ON "repair"("enrollment_id", "created_at");

-- CreateIndex
CREATE INDEX "repair_finding_id_idx" ON "repair"("finding_id");

-- CreateIndex
CREATE INDEX "repair_tenant_id_idx" ON "repair"("tenant_id");

-- CreateIndex
CREATE INDEX "stray_job_enrollment_id_queued_at_idx" ON "stray_job"("enrollment_id", "queued_at");

-- CreateIndex
CREATE INDEX "stray_job_tenant_id_idx" ON "stray_job"("tenant_id");

-- CreateIndex
CREATE INDEX "proof_run_enrollment_id_created_at_idx" ON "proof_run"("enrollment_id", "created_at");

-- CreateIndex
CREATE INDEX "proof_run_tenant_id_idx" ON "proof_run"("tenant_id");

-- CreateIndex
CREATE UNIQUE INDEX "proof_setting_badge_token_key" ON "proof_setting"("badge_token");

-- CreateIndex
CREATE INDEX "proof_setting_tenant_id_idx" ON "proof_setting"("tenant_id");

-- AddForeignKey
ALTER TABLE "repair" ADD CONSTRAINT "repair_finding_id_fkey" FOREIGN KEY ("finding_id") REFERENCES "finding"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What is found of one thing is one finding until it is gone; and a proof runs once at a time.
CREATE UNIQUE INDEX "finding_open" ON "finding"("enrollment_id", "kind", "subject") WHERE "gone_at" IS NULL;
CREATE UNIQUE INDEX "proof_run_open" ON "proof_run"("enrollment_id") WHERE "ended_at" IS NULL;

-- ------------------------------------------------------------------------------------------------ who may what

GRANT SELECT, INSERT, UPDATE, DELETE ON "finding", "repair", "stray_job", "proof_run", "proof_setting" TO flywheel_system;
-- The worker finds and proves; a tenant's people read, apply, ask for a proof and say who may see it.
GRANT SELECT ON "finding", "stray_job" TO flywheel_app;
GRANT SELECT, INSERT, UPDATE ON "repair", "proof_setting" TO flywheel_app;
GRANT SELECT, INSERT ON "proof_run" TO flywheel_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['finding', 'repair', 'stray_job', 'proof_run', 'proof_setting'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY own_tenant ON %I TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', tenant_table);
    EXECUTE format('CREATE POLICY all_tenants ON %I TO flywheel_system USING (true) WITH CHECK (true)', tenant_table);
  END LOOP;
END
$$;
