-- CreateEnum
CREATE TYPE "Sharing" AS ENUM ('dedicated', 'shared');

-- AlterTable
ALTER TABLE "tenant" ADD COLUMN "sharing" "Sharing" NOT NULL DEFAULT 'dedicated';

-- Whoever has scopes of several accounts in one tenant shares it between them already.
UPDATE "tenant" SET "sharing" = 'shared' WHERE "id" IN (
  SELECT "tenant_id" FROM "enrollment" WHERE "state" IN ('active', 'withdrawing')
  GROUP BY "tenant_id" HAVING count(DISTINCT ("connection_id", coalesce("owner_id", "scope_id"))) > 1
);

-- AlterTable
ALTER TABLE "pool" ADD COLUMN "image_digest" TEXT CHECK ("image_digest" ~ '^sha256:[0-9a-f]{64}$'),
ADD COLUMN "image_built_at" TIMESTAMPTZ(3),
ADD COLUMN "devices" JSONB NOT NULL DEFAULT '{}',
ADD COLUMN "needs_device" BOOLEAN NOT NULL DEFAULT false,
ADD COLUMN "runners_most" INTEGER CHECK ("runners_most" BETWEEN 1 AND 1000),
ADD COLUMN "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- Of the model's five these two are nothing without a device.
UPDATE "pool" SET "needs_device" = true WHERE "name" IN ('gpu', 'kvm');

-- What the runners of each pool are made from, as it was approved; the catalog may have moved on since.
ALTER TABLE "enrollment_pool" ADD COLUMN "definition" JSONB,
ADD COLUMN "adopted" JSONB;

-- CreateTable
CREATE TABLE "pool_rollout" (
    "id" UUID NOT NULL,
    "pool_name" TEXT NOT NULL,
    "plans" JSONB NOT NULL,
    "created_by_id" UUID,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "pool_rollout_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "pool_rollout_pool_name_created_at_idx" ON "pool_rollout"("pool_name", "created_at");

-- AddForeignKey
ALTER TABLE "pool_rollout" ADD CONSTRAINT "pool_rollout_pool_name_fkey" FOREIGN KEY ("pool_name") REFERENCES "pool"("name") ON DELETE CASCADE ON UPDATE CASCADE;

-- Of no tenant: the operators' alone.
GRANT SELECT, INSERT, UPDATE, DELETE ON "pool_rollout" TO flywheel_system;
