-- CreateEnum
CREATE TYPE "RunnerState" AS ENUM ('starting', 'idle', 'running', 'failed');

-- DropIndex
DROP INDEX "job_tenant_id_queued_at_idx";

-- AlterTable
ALTER TABLE "job" ADD COLUMN     "run_id" TEXT;

-- CreateTable
CREATE TABLE "runner" (
    "uid" TEXT NOT NULL,
    "cluster_id" TEXT NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "scale_set_name" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "state" "RunnerState" NOT NULL,
    "reason" TEXT,
    "node" TEXT,
    "serves_one" BOOLEAN NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "version" DECIMAL(40,0) NOT NULL,

    CONSTRAINT "runner_pkey" PRIMARY KEY ("uid")
);

-- CreateIndex
CREATE INDEX "runner_tenant_id_ended_at_idx" ON "runner"("tenant_id", "ended_at");

-- CreateIndex
CREATE INDEX "runner_cluster_id_ended_at_idx" ON "runner"("cluster_id", "ended_at");

-- CreateIndex
CREATE INDEX "runner_enrollment_id_name_idx" ON "runner"("enrollment_id", "name");

-- CreateIndex
CREATE INDEX "runner_ended_at_idx" ON "runner"("ended_at");

-- CreateIndex
CREATE INDEX "job_tenant_id_queued_at_external_id_idx" ON "job"("tenant_id", "queued_at", "external_id");

-- CreateIndex
CREATE INDEX "job_queued_at_external_id_idx" ON "job"("queued_at", "external_id");

-- CreateIndex
CREATE INDEX "job_enrollment_id_runner_name_idx" ON "job"("enrollment_id", "runner_name");

-- CreateIndex
CREATE INDEX "job_enrollment_id_run_id_idx" ON "job"("enrollment_id", "run_id");

-- ------------------------------------------------------------------------------------------------ who may what

GRANT SELECT, INSERT, UPDATE, DELETE ON "runner" TO flywheel_system;
GRANT SELECT ON "runner" TO flywheel_app;

ALTER TABLE "runner" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "runner" FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON "runner" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY all_tenants ON "runner" TO flywheel_system USING (true) WITH CHECK (true);
