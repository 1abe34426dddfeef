-- CreateEnum
CREATE TYPE "DeviceLoginState" AS ENUM ('pending', 'approved', 'denied', 'delivered');

-- CreateTable
CREATE TABLE "device_login" (
    "id" UUID NOT NULL,
    "device_code_hash" TEXT NOT NULL,
    "user_code_hash" TEXT NOT NULL,
    "machine" TEXT NOT NULL,
    "scopes" TEXT[],
    "days" INTEGER NOT NULL,
    "state" "DeviceLoginState" NOT NULL DEFAULT 'pending',
    "user_id" UUID,
    "token_id" UUID,
    "interval_seconds" INTEGER NOT NULL,
    "polled_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "device_login_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attempt_count" (
    "key" TEXT NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "attempts" INTEGER NOT NULL,

    CONSTRAINT "attempt_count_pkey" PRIMARY KEY ("key")
);

-- CreateIndex
CREATE UNIQUE INDEX "device_login_device_code_hash_key" ON "device_login"("device_code_hash");

-- CreateIndex
CREATE UNIQUE INDEX "device_login_user_code_hash_key" ON "device_login"("user_code_hash");

-- CreateIndex
CREATE INDEX "device_login_expires_at_idx" ON "device_login"("expires_at");

-- CreateIndex
CREATE INDEX "device_login_user_id_idx" ON "device_login"("user_id");

-- AddForeignKey
ALTER TABLE "device_login" ADD CONSTRAINT "device_login_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

-- Nobody decides whom nobody knows, and what was handed out was handed out to somebody.
ALTER TABLE "device_login" ADD CONSTRAINT "device_login_of_somebody" CHECK ("state" = 'pending' OR "user_id" IS NOT NULL);
ALTER TABLE "device_login" ADD CONSTRAINT "device_login_delivered_whole" CHECK (("state" = 'delivered') = ("token_id" IS NOT NULL));
ALTER TABLE "device_login" ADD CONSTRAINT "device_login_scopes_some" CHECK (cardinality("scopes") > 0);
ALTER TABLE "attempt_count" SET UNLOGGED;

-- ------------------------------------------------------------------------------------------------ who may what

-- Who signs in is known before any tenant: the application role has nothing to do with it.
GRANT SELECT, INSERT, UPDATE, DELETE ON "device_login", "attempt_count" TO flywheel_system;
