-- AlterTable
ALTER TABLE "cache_server" ADD COLUMN     "checked_at" TIMESTAMPTZ(3),
ADD COLUMN     "checklist" JSONB,
ADD COLUMN     "sealed_statistics_url" TEXT,
ADD COLUMN     "signing_algorithm" TEXT NOT NULL DEFAULT 'HS256';

-- AlterTable
ALTER TABLE "cache_view" ADD COLUMN     "changed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN     "priority" INTEGER NOT NULL DEFAULT 41,
ADD COLUMN     "removing_at" TIMESTAMPTZ(3),
ADD COLUMN     "retention_seconds" INTEGER,
ADD COLUMN     "trouble" TEXT,
ADD COLUMN     "trust" TEXT NOT NULL DEFAULT 'trusted',
ADD COLUMN     "upstream_keys" TEXT[] DEFAULT ARRAY['cache.nixos.org-1']::TEXT[];

-- AlterTable
ALTER TABLE "cluster" ADD COLUMN     "bazel_readers" TEXT,
ADD COLUMN     "bazel_url" TEXT;

-- CreateTable
CREATE TABLE "cache_token" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "server_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "enrollment_id" UUID,
    "user_id" UUID,
    "holder" TEXT NOT NULL,
    "scope" JSONB NOT NULL,
    "used_in" TEXT NOT NULL,
    "key_id" TEXT NOT NULL,
    "issued_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "replaced_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "revoked_by" TEXT,

    CONSTRAINT "cache_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "cache_reading" (
    "tenant_id" UUID NOT NULL,
    "source" TEXT NOT NULL,
    "observed_at" TIMESTAMPTZ(3) NOT NULL,
    "hits" BIGINT,
    "misses" BIGINT,
    "logical_bytes" BIGINT,
    "stored_bytes" BIGINT,
    "limit_bytes" BIGINT,
    "evicted_bytes" BIGINT,
    "eviction_age_seconds" BIGINT,
    "objects" BIGINT,
    "served_objects" BIGINT,
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "cache_reading_pkey" PRIMARY KEY ("tenant_id","source","observed_at")
);

-- CreateIndex
CREATE INDEX "cache_token_tenant_id_expires_at_idx" ON "cache_token"("tenant_id", "expires_at");

-- CreateIndex
CREATE INDEX "cache_token_server_id_key_id_idx" ON "cache_token"("server_id", "key_id");

-- CreateIndex
CREATE INDEX "cache_reading_observed_at_idx" ON "cache_reading"("observed_at");

-- AddForeignKey
ALTER TABLE "cache_token" ADD CONSTRAINT "cache_token_server_id_fkey" FOREIGN KEY ("server_id") REFERENCES "cache_server"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what may stand there

ALTER TABLE "cache_server" ADD CONSTRAINT "cache_server_signing_algorithm" CHECK ("signing_algorithm" IN ('HS256', 'RS256'));
ALTER TABLE "cache_view" ADD CONSTRAINT "cache_view_trust" CHECK ("trust" IN ('trusted', 'untrusted'));
-- Attic keeps a period of seconds in 32 bits.
ALTER TABLE "cache_view" ADD CONSTRAINT "cache_view_retention" CHECK ("retention_seconds" >= 0);
ALTER TABLE "cache_token" ADD CONSTRAINT "cache_token_kind" CHECK
  (("kind" = 'runner' AND "enrollment_id" IS NOT NULL) OR ("kind" = 'person' AND "user_id" IS NOT NULL));
-- A row with no end would be a token that nobody looks after.
ALTER TABLE "cache_token" ADD CONSTRAINT "cache_token_ends" CHECK ("expires_at" > "issued_at");

-- ------------------------------------------------------------------------------------------------ who may what

GRANT SELECT, INSERT, UPDATE, DELETE ON "cache_token" TO flywheel_system;
-- What was read stays as it was read, until it is old.
GRANT SELECT, INSERT, DELETE ON "cache_reading" TO flywheel_system;
-- No value of a token is kept in either.
GRANT SELECT ON "cache_token", "cache_reading" TO flywheel_app;

ALTER TABLE "cache_token" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "cache_token" FORCE ROW LEVEL SECURITY;
ALTER TABLE "cache_reading" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "cache_reading" FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON "cache_token" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY own_tenant ON "cache_reading" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY all_tenants ON "cache_token" TO flywheel_system USING (true) WITH CHECK (true);
CREATE POLICY all_tenants ON "cache_reading" TO flywheel_system USING (true) WITH CHECK (true);
