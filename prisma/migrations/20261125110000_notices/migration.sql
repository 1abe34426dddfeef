-- CreateEnum
CREATE TYPE "NoticeAudience" AS ENUM ('tenant', 'operator', 'person');

-- CreateEnum
CREATE TYPE "WebhookState" AS ENUM ('waiting', 'delivered', 'given_up');

-- CreateTable
CREATE TABLE "notice" (
    "id" UUID NOT NULL,
    "tenant_id" UUID,
    "audience" "NoticeAudience" NOT NULL,
    "user_id" UUID,
    "kind" TEXT NOT NULL,
    "title" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "href" TEXT,
    "dedupe_key" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "notice_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "notice_read" (
    "notice_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "read_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "notice_read_pkey" PRIMARY KEY ("notice_id","user_id")
);

-- CreateTable
CREATE TABLE "webhook_endpoint" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "url" TEXT NOT NULL,
    "kinds" TEXT[],
    "sealed_secret" TEXT NOT NULL,
    "sealed_previous" TEXT,
    "previous_until" TIMESTAMPTZ(3),
    "disabled_at" TIMESTAMPTZ(3),
    "disabled_because" TEXT,
    "given_up" INTEGER NOT NULL DEFAULT 0,
    "created_by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_endpoint_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_message" (
    "id" TEXT NOT NULL,
    "tenant_id" UUID NOT NULL,
    "endpoint_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "body" TEXT NOT NULL,
    "state" "WebhookState" NOT NULL DEFAULT 'waiting',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "began_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "due_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_attempt_at" TIMESTAMPTZ(3),
    "response_code" INTEGER,
    "error" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_message_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "notice_tenant_id_id_idx" ON "notice"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "notice_audience_id_idx" ON "notice"("audience", "id");

-- CreateIndex
CREATE INDEX "notice_user_id_id_idx" ON "notice"("user_id", "id");

-- CreateIndex
-- What concerns no tenant, or no one person, is told once too.
CREATE UNIQUE INDEX "notice_tenant_id_audience_user_id_dedupe_key_key" ON "notice"("tenant_id", "audience", "user_id", "dedupe_key") NULLS NOT DISTINCT;

-- CreateIndex
CREATE INDEX "notice_read_user_id_idx" ON "notice_read"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_endpoint_tenant_id_id_key" ON "webhook_endpoint"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "webhook_message_endpoint_id_state_due_at_idx" ON "webhook_message"("endpoint_id", "state", "due_at");

-- CreateIndex
CREATE INDEX "webhook_message_tenant_id_created_at_idx" ON "webhook_message"("tenant_id", "created_at");

-- AddForeignKey
ALTER TABLE "notice_read" ADD CONSTRAINT "notice_read_notice_id_fkey" FOREIGN KEY ("notice_id") REFERENCES "notice"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "notice_read" ADD CONSTRAINT "notice_read_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_message" ADD CONSTRAINT "webhook_message_tenant_id_endpoint_id_fkey" FOREIGN KEY ("tenant_id", "endpoint_id") REFERENCES "webhook_endpoint"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ who may what

GRANT SELECT, INSERT, UPDATE, DELETE ON "notice", "notice_read", "webhook_endpoint", "webhook_message" TO flywheel_system;
-- A tenant's own change tells of itself, and hands on to the tenant's endpoints; what signs them is for the system alone.
GRANT SELECT, INSERT ON "notice", "webhook_message" TO flywheel_app;
GRANT SELECT ("id", "tenant_id", "url", "kinds", "previous_until", "disabled_at", "disabled_because", "given_up", "created_at") ON "webhook_endpoint" TO flywheel_app;

ALTER TABLE "notice" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "notice" FORCE ROW LEVEL SECURITY;
ALTER TABLE "webhook_endpoint" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "webhook_endpoint" FORCE ROW LEVEL SECURITY;
ALTER TABLE "webhook_message" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "webhook_message" FORCE ROW LEVEL SECURITY;
-- A tenant may tell its operators and one person of something, and reads neither.
CREATE POLICY own_tenant_reads ON "notice" FOR SELECT TO flywheel_app USING (tenant_id = current_tenant() AND audience = 'tenant');
CREATE POLICY own_tenant_tells ON "notice" FOR INSERT TO flywheel_app WITH CHECK (tenant_id = current_tenant());
CREATE POLICY own_tenant ON "webhook_endpoint" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY own_tenant ON "webhook_message" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY all_tenants ON "notice" TO flywheel_system USING (true) WITH CHECK (true);
CREATE POLICY all_tenants ON "webhook_endpoint" TO flywheel_system USING (true) WITH CHECK (true);
CREATE POLICY all_tenants ON "webhook_message" TO flywheel_system USING (true) WITH CHECK (true);
