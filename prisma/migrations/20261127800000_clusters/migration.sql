-- Several execution clusters: how each is reached, how it is, and the tenants that move from one to another.

-- CreateEnum
CREATE TYPE "ClusterState" AS ENUM ('open', 'closed', 'draining');

-- CreateEnum
CREATE TYPE "MoveStep" AS ENUM ('preparing', 'closing', 'leaving', 'returning');

-- CreateEnum
CREATE TYPE "MoveState" AS ENUM ('planned', 'preparing', 'closing', 'leaving', 'calling_off', 'done', 'called_off', 'discarded');

-- AlterTable
ALTER TABLE "tenant" ADD COLUMN     "moving" "MoveStep",
ADD COLUMN     "other_cluster_id" TEXT;

-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "attic_server_id" TEXT,
ADD COLUMN     "context" TEXT,
ADD COLUMN     "duplicate_of" TEXT,
ADD COLUMN     "kubeconfig" TEXT,
ADD COLUMN     "kubernetes_version" TEXT,
ADD COLUMN     "looked_at" TIMESTAMPTZ(3),
ADD COLUMN     "pools" TEXT[] DEFAULT ARRAY[]::TEXT[],
ADD COLUMN     "state" "ClusterState" NOT NULL DEFAULT 'open',
ADD COLUMN     "trouble" TEXT,
ADD COLUMN     "uid" TEXT;

-- CreateTable
CREATE TABLE "tenant_move" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "lead_id" UUID,
    "from_cluster_id" TEXT NOT NULL,
    "to_cluster_id" TEXT NOT NULL,
    "state" "MoveState" NOT NULL DEFAULT 'planned',
    "limit_minutes" INTEGER NOT NULL,
    "plan" JSONB NOT NULL,
    "prepared" JSONB NOT NULL DEFAULT '{}',
    "said" TEXT,
    "created_by_id" UUID,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "decided_by_id" UUID,
    "decided_by" TEXT,
    "decided_at" TIMESTAMPTZ(3),
    "handed_over_at" TIMESTAMPTZ(3),
    "ended_at" TIMESTAMPTZ(3),

    CONSTRAINT "tenant_move_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "tenant_move_tenant_id_created_at_idx" ON "tenant_move"("tenant_id", "created_at");

-- CreateIndex
CREATE INDEX "tenant_move_lead_id_idx" ON "tenant_move"("lead_id");

-- CreateIndex
CREATE INDEX "tenant_move_state_idx" ON "tenant_move"("state");

-- CreateIndex
CREATE UNIQUE INDEX "cluster_uid_key" ON "cluster"("uid");

-- AddForeignKey
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_other_cluster_id_fkey" FOREIGN KEY ("other_cluster_id") REFERENCES "cluster"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "cluster" ADD CONSTRAINT "cluster_attic_server_id_fkey" FOREIGN KEY ("attic_server_id") REFERENCES "cache_server"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant_move" ADD CONSTRAINT "tenant_move_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant_move" ADD CONSTRAINT "tenant_move_from_cluster_id_fkey" FOREIGN KEY ("from_cluster_id") REFERENCES "cluster"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant_move" ADD CONSTRAINT "tenant_move_to_cluster_id_fkey" FOREIGN KEY ("to_cluster_id") REFERENCES "cluster"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant_move" ADD CONSTRAINT "tenant_move_lead_id_fkey" FOREIGN KEY ("lead_id") REFERENCES "tenant_move"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

-- Two clusters are never reached the same way: both would write the same namespaces. Several without one may be there from before, each
-- by the context of its id in KUBECONFIG; two that are one cluster are found out by its uid.
CREATE UNIQUE INDEX "cluster_way_key" ON "cluster" ("kubeconfig", "context") WHERE "kubeconfig" IS NOT NULL;
ALTER TABLE "cluster" ADD CONSTRAINT "cluster_way_whole" CHECK (("kubeconfig" IS NULL) = ("context" IS NULL));

CREATE UNIQUE INDEX "tenant_move_under_way_key" ON "tenant_move" ("tenant_id")
  WHERE "state" IN ('preparing', 'closing', 'leaving', 'calling_off');
ALTER TABLE "tenant_move" ADD CONSTRAINT "tenant_move_elsewhere" CHECK ("from_cluster_id" <> "to_cluster_id");
ALTER TABLE "tenant_move" ADD CONSTRAINT "tenant_move_limit" CHECK ("limit_minutes" BETWEEN 0 AND 10080);
-- A step concerns another cluster, and nothing does without one.
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_moving_whole" CHECK (("moving" IS NULL) = ("other_cluster_id" IS NULL) AND "other_cluster_id" IS DISTINCT FROM "cluster_id");

-- ------------------------------------------------------------------------------------------------ who may what

ALTER TABLE "tenant_move" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "tenant_move" FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON "tenant_move" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY all_tenants ON "tenant_move" TO flywheel_system USING (true) WITH CHECK (true);
-- Operators move tenants; a tenant's people see it.
GRANT SELECT ON "tenant_move" TO flywheel_app;
GRANT SELECT, INSERT, UPDATE ON "tenant_move" TO flywheel_system;
