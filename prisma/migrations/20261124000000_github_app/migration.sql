-- AlterTable
ALTER TABLE "enrollment" ADD COLUMN     "github_app_id" UUID;

-- CreateTable
CREATE TABLE "github_app" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "connection_id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "account_login" TEXT NOT NULL,
    "app_id" TEXT NOT NULL,
    "slug" TEXT NOT NULL,
    "sealed_private_key" TEXT NOT NULL,
    "sealed_webhook_secret" TEXT NOT NULL,
    "key_replaced_at" TIMESTAMPTZ(3),
    "created_by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "github_app_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "errand" (
    "state_hash" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "connection_id" TEXT NOT NULL,
    "kind" TEXT NOT NULL,
    "details" JSONB NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "errand_pkey" PRIMARY KEY ("state_hash")
);

-- CreateIndex
CREATE UNIQUE INDEX "github_app_connection_id_app_id_key" ON "github_app"("connection_id", "app_id");

-- CreateIndex
CREATE UNIQUE INDEX "github_app_tenant_id_connection_id_account_id_key" ON "github_app"("tenant_id", "connection_id", "account_id");

-- CreateIndex
CREATE INDEX "errand_expires_at_idx" ON "errand"("expires_at");

-- AddForeignKey
ALTER TABLE "github_app" ADD CONSTRAINT "github_app_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "github_app" ADD CONSTRAINT "github_app_connection_id_fkey" FOREIGN KEY ("connection_id") REFERENCES "forge_connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "enrollment" ADD CONSTRAINT "enrollment_github_app_id_fkey" FOREIGN KEY ("github_app_id") REFERENCES "github_app"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

-- The secrets are for the system alone, as those of a connection are; a tenant's pages read the rest.
GRANT SELECT, INSERT, UPDATE, DELETE ON "github_app", "errand" TO flywheel_system;
GRANT SELECT ("id", "tenant_id", "connection_id", "account_id", "account_login", "app_id", "slug", "key_replaced_at", "created_at") ON "github_app" TO flywheel_app;

ALTER TABLE "github_app" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "github_app" FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON "github_app" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY all_tenants ON "github_app" TO flywheel_system USING (true) WITH CHECK (true);
