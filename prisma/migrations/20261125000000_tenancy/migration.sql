-- CreateEnum
CREATE TYPE "RequestKind" AS ENUM ('tenant', 'quota', 'plan', 'parent');

-- CreateEnum
CREATE TYPE "RequestState" AS ENUM ('open', 'asked_back', 'approved', 'rejected', 'withdrawn');

-- AlterEnum
ALTER TYPE "PlanState" ADD VALUE 'waiting';

-- AlterEnum
ALTER TYPE "TenantState" ADD VALUE 'leaving';

-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "capacity_cpu" TEXT,
ADD COLUMN     "capacity_memory" TEXT;

-- AlterTable
ALTER TABLE "pool" ADD COLUMN     "requires_approval" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "tenant" ADD COLUMN     "departure" JSONB,
ADD COLUMN     "left_at" TIMESTAMPTZ(3),
ADD COLUMN     "quota_storage" TEXT NOT NULL DEFAULT '250Gi',
ADD COLUMN     "suspend_reason" TEXT,
ADD COLUMN     "suspended_at" TIMESTAMPTZ(3);

-- CreateTable
CREATE TABLE "approval_request" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "kind" "RequestKind" NOT NULL,
    "state" "RequestState" NOT NULL DEFAULT 'open',
    "wanted" JSONB NOT NULL,
    "granted" JSONB,
    "plan_id" UUID,
    "created_by_id" UUID,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "decided_by_id" UUID,
    "decided_by" TEXT,
    "decided_at" TIMESTAMPTZ(3),

    CONSTRAINT "approval_request_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "request_message" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "request_id" UUID NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "actor" TEXT NOT NULL,
    "step" TEXT NOT NULL,
    "text" TEXT NOT NULL,

    CONSTRAINT "request_message_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "approval_request_tenant_id_created_at_idx" ON "approval_request"("tenant_id", "created_at");

-- CreateIndex
CREATE INDEX "approval_request_state_created_at_idx" ON "approval_request"("state", "created_at");

-- CreateIndex
CREATE INDEX "request_message_request_id_idx" ON "request_message"("request_id");

-- CreateIndex
CREATE INDEX "request_message_tenant_id_idx" ON "request_message"("tenant_id");

-- CreateIndex
CREATE INDEX "tenant_parent_id_idx" ON "tenant"("parent_id");

-- AddForeignKey
ALTER TABLE "approval_request" ADD CONSTRAINT "approval_request_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "request_message" ADD CONSTRAINT "request_message_request_id_fkey" FOREIGN KEY ("request_id") REFERENCES "approval_request"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what Prisma cannot say

-- Two presses, or two admins, are one request.
CREATE UNIQUE INDEX "approval_request_one_open" ON "approval_request" ("tenant_id", "kind") WHERE "state" IN ('open', 'asked_back') AND "kind" <> 'plan';
CREATE UNIQUE INDEX "approval_request_one_open_plan" ON "approval_request" ("plan_id") WHERE "state" IN ('open', 'asked_back');
ALTER TABLE "approval_request" ADD CONSTRAINT "approval_request_plan" CHECK (("kind" = 'plan') = ("plan_id" IS NOT NULL));
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_not_its_own_parent" CHECK ("parent_id" <> "id");
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_suspended_since" CHECK (("state" = 'suspended') = ("suspended_at" IS NOT NULL));

UPDATE "pool" SET "requires_approval" = true WHERE "name" IN ('gpu', 'kvm');

-- ------------------------------------------------------------------------------------------------ who may do what

GRANT SELECT, INSERT, UPDATE, DELETE ON "approval_request", "request_message" TO flywheel_system;
-- What was said is not unsaid.
REVOKE UPDATE, DELETE ON "request_message" FROM flywheel_system;
GRANT SELECT ON "approval_request", "request_message" TO flywheel_app;
-- The name alone is a tenant's own to change: quota, parent and state are not.
REVOKE UPDATE ON "tenant" FROM flywheel_app;
GRANT UPDATE ("display_name") ON "tenant" TO flywheel_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['approval_request', 'request_message']
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY own_tenant ON %I TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', tenant_table);
    EXECUTE format('CREATE POLICY all_tenants ON %I TO flywheel_system USING (true) WITH CHECK (true)', tenant_table);
  END LOOP;
END $$;
