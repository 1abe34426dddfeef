-- CreateEnum
CREATE TYPE "StateVersionKind" AS ENUM ('write', 'rollback', 'purge');

-- CreateTable
CREATE TABLE "state_stack" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL DEFAULT '',
    "created_by_id" UUID NOT NULL,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_unlocked_id" TEXT,
    "refusal" TEXT,
    "refused_at" TIMESTAMPTZ(3),

    CONSTRAINT "state_stack_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "state_version" (
    "id" UUID NOT NULL,
    "stack_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "kind" "StateVersionKind" NOT NULL DEFAULT 'write',
    "serial" BIGINT,
    "lineage" TEXT,
    "is_encrypted" BOOLEAN NOT NULL DEFAULT false,
    "bytes" INTEGER NOT NULL,
    "md5" TEXT NOT NULL,
    "resources" INTEGER,
    "tool_version" TEXT,
    "sealed" BYTEA,
    "who" TEXT,
    "operation" TEXT,
    "credential" TEXT,
    "of_number" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "state_version_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "state_lock" (
    "stack_id" UUID NOT NULL,
    "lock_id" TEXT NOT NULL,
    "info" JSONB NOT NULL,
    "credential" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "state_lock_pkey" PRIMARY KEY ("stack_id")
);

-- CreateTable
CREATE TABLE "state_credential" (
    "id" UUID NOT NULL,
    "stack_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "may_write" BOOLEAN NOT NULL DEFAULT true,
    "secret_hash" TEXT NOT NULL,
    "previous_hash" TEXT,
    "previous_until" TIMESTAMPTZ(3),
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "rotated_at" TIMESTAMPTZ(3),
    "used_at" TIMESTAMPTZ(3),
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "state_credential_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "state_stack_name_key" ON "state_stack"("name");

-- CreateIndex
CREATE UNIQUE INDEX "state_version_stack_id_number_key" ON "state_version"("stack_id", "number");

-- CreateIndex
CREATE UNIQUE INDEX "state_credential_stack_id_name_key" ON "state_credential"("stack_id", "name");

-- AddForeignKey
ALTER TABLE "state_version" ADD CONSTRAINT "state_version_stack_id_fkey" FOREIGN KEY ("stack_id") REFERENCES "state_stack"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "state_lock" ADD CONSTRAINT "state_lock_stack_id_fkey" FOREIGN KEY ("stack_id") REFERENCES "state_stack"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "state_credential" ADD CONSTRAINT "state_credential_stack_id_fkey" FOREIGN KEY ("stack_id") REFERENCES "state_stack"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

-- What is there has a size and a place; what was emptied has nothing.
ALTER TABLE "state_version" ADD CONSTRAINT "state_version_whole" CHECK (("kind" = 'purge') = ("sealed" IS NULL));
ALTER TABLE "state_version" ADD CONSTRAINT "state_version_counts" CHECK ("number" > 0 AND "bytes" >= 0);
ALTER TABLE "state_credential" ADD CONSTRAINT "state_credential_previous_whole" CHECK (("previous_hash" IS NULL) = ("previous_until" IS NULL));
-- A sealed state is as dense as it can be: Postgres need not try again.
ALTER TABLE "state_version" ALTER COLUMN "sealed" SET STORAGE EXTERNAL;

-- ------------------------------------------------------------------------------------------------ who may what

-- The operators' alone: the application role, under which tenants are served, may not even ask. A version that is kept is
-- neither changed nor removed by any role of the portal.
GRANT SELECT, INSERT, UPDATE ON "state_stack", "state_credential" TO flywheel_system;
GRANT SELECT, INSERT, DELETE ON "state_lock" TO flywheel_system;
GRANT SELECT, INSERT ON "state_version" TO flywheel_system;
