-- CreateEnum
CREATE TYPE "ForgeKind" AS ENUM ('github', 'gitlab', 'forgejo');

-- CreateEnum
CREATE TYPE "ScopeLevel" AS ENUM ('repository', 'organization', 'enterprise', 'project', 'group', 'instance', 'account');

-- CreateEnum
CREATE TYPE "TenantKind" AS ENUM ('team', 'organization', 'enterprise', 'managed_customer');

-- CreateEnum
CREATE TYPE "TenantState" AS ENUM ('draft', 'active', 'suspended', 'left');

-- CreateEnum
CREATE TYPE "Role" AS ENUM ('admin', 'member', 'billing');

-- CreateEnum
CREATE TYPE "MembershipSource" AS ENUM ('forge', 'invitation', 'operator');

-- CreateEnum
CREATE TYPE "EnrollmentState" AS ENUM ('draft', 'active', 'withdrawing', 'withdrawn');

-- CreateEnum
CREATE TYPE "PlanKind" AS ENUM ('enroll', 'change', 'withdraw');

-- CreateEnum
CREATE TYPE "PlanState" AS ENUM ('open', 'approved', 'stale', 'discarded');

-- CreateEnum
CREATE TYPE "SecurityClass" AS ENUM ('restricted', 'builds', 'dind');

-- CreateEnum
CREATE TYPE "PlaneKind" AS ENUM ('attic', 'bazel', 'state');

-- CreateEnum
CREATE TYPE "JobState" AS ENUM ('queued', 'running', 'completed');

-- CreateTable
CREATE TABLE "app_user" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "image_url" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "disabled_at" TIMESTAMPTZ(3),

    CONSTRAINT "app_user_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "identity" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "connection_id" TEXT NOT NULL,
    "subject" TEXT NOT NULL,
    "login" TEXT NOT NULL,
    "sealed_token" TEXT,
    "token_expires_at" TIMESTAMPTZ(3),
    "signed_in_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "identity_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "session" (
    "id" UUID NOT NULL,
    "token_hash" TEXT NOT NULL,
    "user_id" UUID NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "last_seen_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "user_agent" TEXT,

    CONSTRAINT "session_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "forge_connection" (
    "id" TEXT NOT NULL,
    "kind" "ForgeKind" NOT NULL,
    "name" TEXT NOT NULL,
    "base_url" TEXT NOT NULL,
    "client_id" TEXT NOT NULL,
    "sealed_client_secret" TEXT NOT NULL,
    "app_id" TEXT,
    "app_slug" TEXT,
    "sealed_private_key" TEXT,
    "sealed_webhook_secret" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "forge_connection_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "installation" (
    "connection_id" TEXT NOT NULL,
    "external_id" TEXT NOT NULL,
    "account_id" TEXT NOT NULL,
    "account_login" TEXT NOT NULL,
    "account_type" TEXT NOT NULL,
    "repository_selection" TEXT NOT NULL,
    "permissions" JSONB NOT NULL,
    "suspended_at" TIMESTAMPTZ(3),
    "removed_at" TIMESTAMPTZ(3),
    "observed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "installation_pkey" PRIMARY KEY ("connection_id","external_id")
);

-- CreateTable
CREATE TABLE "delivery" (
    "connection_id" TEXT NOT NULL,
    "delivery_id" TEXT NOT NULL,
    "event" TEXT NOT NULL,
    "installation_id" TEXT,
    "payload" JSONB NOT NULL,
    "received_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "handled_at" TIMESTAMPTZ(3),

    CONSTRAINT "delivery_pkey" PRIMARY KEY ("connection_id","delivery_id")
);

-- CreateTable
CREATE TABLE "billing_account" (
    "id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "currency" TEXT NOT NULL DEFAULT 'USD',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "billing_account_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "tenant" (
    "id" UUID NOT NULL,
    "slug" TEXT NOT NULL,
    "kind" "TenantKind" NOT NULL,
    "display_name" TEXT NOT NULL,
    "parent_id" UUID,
    "billing_account_id" UUID NOT NULL,
    "cluster_id" TEXT NOT NULL,
    "is_default" BOOLEAN NOT NULL DEFAULT false,
    "state" "TenantState" NOT NULL DEFAULT 'draft',
    "quota_cpu" TEXT NOT NULL,
    "quota_memory" TEXT NOT NULL,
    "quota_runners" INTEGER NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tenant_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "membership" (
    "tenant_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "role" "Role" NOT NULL,
    "source" "MembershipSource" NOT NULL,
    "checked_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "membership_pkey" PRIMARY KEY ("tenant_id","user_id")
);

-- CreateTable
CREATE TABLE "cluster" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "controller_namespace" TEXT NOT NULL DEFAULT 'arc-systems',
    "controller_service_account" TEXT NOT NULL DEFAULT 'arc-gha-rs-controller',
    "controller_version" TEXT,
    "reachable_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "cluster_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "pool" (
    "name" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "cpu" TEXT,
    "memory" TEXT,
    "storage" TEXT NOT NULL DEFAULT '20Gi',
    "image" TEXT NOT NULL,
    "security_class" "SecurityClass" NOT NULL DEFAULT 'restricted',
    "position" INTEGER NOT NULL,

    CONSTRAINT "pool_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "rate" (
    "id" UUID NOT NULL,
    "pool_name" TEXT NOT NULL,
    "currency" TEXT NOT NULL DEFAULT 'USD',
    "price_per_runner_second" DECIMAL(20,12) NOT NULL,
    "valid_from" TIMESTAMPTZ(3) NOT NULL,
    "valid_to" TIMESTAMPTZ(3),

    CONSTRAINT "rate_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "enrollment" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "connection_id" TEXT NOT NULL,
    "level" "ScopeLevel" NOT NULL,
    "path" TEXT NOT NULL,
    "scope_id" TEXT NOT NULL,
    "installation_id" TEXT,
    "runner_group" TEXT,
    "state" "EnrollmentState" NOT NULL DEFAULT 'draft',
    "generation" INTEGER NOT NULL DEFAULT 0,
    "observed_generation" INTEGER NOT NULL DEFAULT 0,
    "spec" JSONB,
    "draft" JSONB,
    "conditions" JSONB NOT NULL DEFAULT '[]',
    "created_by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "approved_at" TIMESTAMPTZ(3),
    "ready_at" TIMESTAMPTZ(3),
    "withdrawn_at" TIMESTAMPTZ(3),

    CONSTRAINT "enrollment_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "enrollment_pool" (
    "scale_set_name" TEXT NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "pool_name" TEXT NOT NULL,
    "min_runners" INTEGER NOT NULL,
    "max_runners" INTEGER NOT NULL,
    "current_runners" INTEGER NOT NULL DEFAULT 0,
    "pending_runners" INTEGER NOT NULL DEFAULT 0,
    "running_runners" INTEGER NOT NULL DEFAULT 0,
    "failed_runners" INTEGER NOT NULL DEFAULT 0,
    "observed_at" TIMESTAMPTZ(3),

    CONSTRAINT "enrollment_pool_pkey" PRIMARY KEY ("scale_set_name")
);

-- CreateTable
CREATE TABLE "plan" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "kind" "PlanKind" NOT NULL,
    "state" "PlanState" NOT NULL DEFAULT 'open',
    "base_generation" INTEGER NOT NULL,
    "spec" JSONB NOT NULL,
    "observed_hash" TEXT NOT NULL,
    "changes" JSONB NOT NULL,
    "cluster_checked" BOOLEAN NOT NULL,
    "created_by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "decided_by_id" UUID,
    "decided_at" TIMESTAMPTZ(3),

    CONSTRAINT "plan_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "credential" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "sealed_value" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "credential_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "cache_server" (
    "id" TEXT NOT NULL,
    "plane" "PlaneKind" NOT NULL,
    "cluster_id" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "sealed_signing_secret" TEXT,

    CONSTRAINT "cache_server_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "cache_view" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "server_id" TEXT NOT NULL,
    "plane" "PlaneKind" NOT NULL,
    "name" TEXT NOT NULL,
    "is_public" BOOLEAN NOT NULL DEFAULT false,
    "public_key" TEXT,
    "substituter_url" TEXT,
    "observed_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "cache_view_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "runner_reading" (
    "pod_uid" TEXT NOT NULL,
    "observed_at" TIMESTAMPTZ(3) NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "pool_name" TEXT NOT NULL,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "runner_seconds" DECIMAL(20,3) NOT NULL,
    "repository" TEXT,

    CONSTRAINT "runner_reading_pkey" PRIMARY KEY ("pod_uid","observed_at")
);

-- CreateTable
CREATE TABLE "job" (
    "connection_id" TEXT NOT NULL,
    "external_id" TEXT NOT NULL,
    "tenant_id" UUID NOT NULL,
    "enrollment_id" UUID NOT NULL,
    "scale_set_name" TEXT NOT NULL,
    "repository" TEXT NOT NULL,
    "workflow" TEXT,
    "name" TEXT,
    "state" "JobState" NOT NULL,
    "conclusion" TEXT,
    "runner_name" TEXT,
    "queued_at" TIMESTAMPTZ(3) NOT NULL,
    "started_at" TIMESTAMPTZ(3),
    "completed_at" TIMESTAMPTZ(3),

    CONSTRAINT "job_pkey" PRIMARY KEY ("connection_id","external_id")
);

-- CreateTable
CREATE TABLE "task" (
    "kind" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "due_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "lease_until" TIMESTAMPTZ(6),
    "lease_token" BIGINT NOT NULL DEFAULT 0,
    "wakes" BIGINT NOT NULL DEFAULT 1,
    "seen_wakes" BIGINT NOT NULL DEFAULT 0,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "last_error" TEXT,
    "updated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "task_pkey" PRIMARY KEY ("kind","key")
);

-- CreateTable
CREATE TABLE "audit" (
    "id" UUID NOT NULL,
    "at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "tenant_id" UUID,
    "actor_id" UUID,
    "actor" TEXT NOT NULL,
    "action" TEXT NOT NULL,
    "target" TEXT NOT NULL,
    "before" JSONB,
    "after" JSONB,
    "request_id" TEXT,

    CONSTRAINT "audit_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "identity_user_id_idx" ON "identity"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "identity_connection_id_subject_key" ON "identity"("connection_id", "subject");

-- CreateIndex
CREATE UNIQUE INDEX "session_token_hash_key" ON "session"("token_hash");

-- CreateIndex
CREATE INDEX "session_user_id_idx" ON "session"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "forge_connection_base_url_key" ON "forge_connection"("base_url");

-- CreateIndex
CREATE INDEX "installation_connection_id_account_id_idx" ON "installation"("connection_id", "account_id");

-- CreateIndex
CREATE INDEX "delivery_received_at_idx" ON "delivery"("received_at");

-- CreateIndex
CREATE UNIQUE INDEX "tenant_slug_key" ON "tenant"("slug");

-- CreateIndex
CREATE INDEX "membership_user_id_idx" ON "membership"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "rate_pool_name_valid_from_key" ON "rate"("pool_name", "valid_from");

-- CreateIndex
CREATE INDEX "enrollment_connection_id_scope_id_idx" ON "enrollment"("connection_id", "scope_id");

-- CreateIndex
CREATE INDEX "enrollment_tenant_id_name_idx" ON "enrollment"("tenant_id", "name");

-- CreateIndex
CREATE INDEX "enrollment_pool_tenant_id_idx" ON "enrollment_pool"("tenant_id");

-- CreateIndex
CREATE UNIQUE INDEX "enrollment_pool_enrollment_id_pool_name_key" ON "enrollment_pool"("enrollment_id", "pool_name");

-- CreateIndex
CREATE INDEX "plan_tenant_id_created_at_idx" ON "plan"("tenant_id", "created_at");

-- CreateIndex
CREATE INDEX "plan_enrollment_id_idx" ON "plan"("enrollment_id");

-- CreateIndex
CREATE INDEX "credential_tenant_id_idx" ON "credential"("tenant_id");

-- CreateIndex
CREATE UNIQUE INDEX "credential_enrollment_id_kind_key" ON "credential"("enrollment_id", "kind");

-- CreateIndex
CREATE INDEX "cache_view_tenant_id_idx" ON "cache_view"("tenant_id");

-- CreateIndex
CREATE UNIQUE INDEX "cache_view_server_id_name_key" ON "cache_view"("server_id", "name");

-- CreateIndex
CREATE INDEX "runner_reading_tenant_id_started_at_idx" ON "runner_reading"("tenant_id", "started_at");

-- CreateIndex
CREATE INDEX "job_tenant_id_queued_at_idx" ON "job"("tenant_id", "queued_at");

-- CreateIndex
CREATE INDEX "job_enrollment_id_state_idx" ON "job"("enrollment_id", "state");

-- CreateIndex
CREATE INDEX "task_kind_due_at_idx" ON "task"("kind", "due_at");

-- CreateIndex
CREATE INDEX "audit_tenant_id_at_idx" ON "audit"("tenant_id", "at");

-- AddForeignKey
ALTER TABLE "identity" ADD CONSTRAINT "identity_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "identity" ADD CONSTRAINT "identity_connection_id_fkey" FOREIGN KEY ("connection_id") REFERENCES "forge_connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "session" ADD CONSTRAINT "session_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "installation" ADD CONSTRAINT "installation_connection_id_fkey" FOREIGN KEY ("connection_id") REFERENCES "forge_connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_parent_id_fkey" FOREIGN KEY ("parent_id") REFERENCES "tenant"("id") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_billing_account_id_fkey" FOREIGN KEY ("billing_account_id") REFERENCES "billing_account"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_cluster_id_fkey" FOREIGN KEY ("cluster_id") REFERENCES "cluster"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "membership" ADD CONSTRAINT "membership_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "membership" ADD CONSTRAINT "membership_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "rate" ADD CONSTRAINT "rate_pool_name_fkey" FOREIGN KEY ("pool_name") REFERENCES "pool"("name") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "enrollment" ADD CONSTRAINT "enrollment_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "enrollment" ADD CONSTRAINT "enrollment_connection_id_fkey" FOREIGN KEY ("connection_id") REFERENCES "forge_connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "enrollment_pool" ADD CONSTRAINT "enrollment_pool_enrollment_id_fkey" FOREIGN KEY ("enrollment_id") REFERENCES "enrollment"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "plan" ADD CONSTRAINT "plan_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "plan" ADD CONSTRAINT "plan_enrollment_id_fkey" FOREIGN KEY ("enrollment_id") REFERENCES "enrollment"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "cache_server" ADD CONSTRAINT "cache_server_cluster_id_fkey" FOREIGN KEY ("cluster_id") REFERENCES "cluster"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "cache_view" ADD CONSTRAINT "cache_view_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "cache_view" ADD CONSTRAINT "cache_view_server_id_fkey" FOREIGN KEY ("server_id") REFERENCES "cache_server"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

-- A scope is enrolled once; a draft reserves nothing.
CREATE UNIQUE INDEX "enrollment_live_scope" ON "enrollment" ("connection_id", "scope_id") WHERE "state" IN ('active', 'withdrawing');
-- A name is free again once its enrollment is withdrawn.
CREATE UNIQUE INDEX "enrollment_name_in_tenant" ON "enrollment" ("tenant_id", "name") WHERE "state" <> 'withdrawn';
-- Labels without a prefix belong to one tenant.
CREATE UNIQUE INDEX "tenant_one_default" ON "tenant" ("is_default") WHERE "is_default";
ALTER TABLE "enrollment_pool" ADD CONSTRAINT "enrollment_pool_min_max" CHECK (0 <= "min_runners" AND "min_runners" <= "max_runners");
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_slug_form" CHECK ("slug" ~ '^[a-z]([a-z0-9-]{0,28}[a-z0-9])?$');
ALTER TABLE "runner_reading" ADD CONSTRAINT "runner_reading_not_negative" CHECK ("runner_seconds" >= 0);
ALTER TABLE "rate" ADD CONSTRAINT "rate_not_negative" CHECK ("price_per_runner_second" >= 0);

-- ------------------------------------------------------------------------------------------------ roles
-- flywheel_app is who the portal connects as: it owns nothing. flywheel_system sees all tenants and is taken, by SET ROLE,
-- only for work that belongs to no tenant. Neither may bypass row security; the policies below say what each sees.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'flywheel_app') THEN
    CREATE ROLE flywheel_app NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'flywheel_system') THEN
    CREATE ROLE flywheel_system NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
  END IF;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_auth_members m
    JOIN pg_roles granted ON granted.oid = m.roleid
    JOIN pg_roles member ON member.oid = m.member
    WHERE granted.rolname = 'flywheel_system' AND member.rolname = 'flywheel_app' AND m.set_option
  ) THEN
    -- INHERIT FALSE: a connection that did not ask for the role has none of its rights.
    GRANT flywheel_system TO flywheel_app WITH INHERIT FALSE, SET TRUE;
  END IF;
END $$;

GRANT USAGE ON SCHEMA public TO flywheel_app, flywheel_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO flywheel_system;
-- What was recorded stays recorded.
REVOKE UPDATE, DELETE ON "audit", "runner_reading" FROM flywheel_system;

GRANT SELECT, INSERT, UPDATE, DELETE ON "enrollment", "enrollment_pool", "plan" TO flywheel_app;
GRANT SELECT, UPDATE ON "tenant" TO flywheel_app;
GRANT SELECT ON "membership", "cache_view", "runner_reading", "job" TO flywheel_app;
GRANT SELECT, INSERT ON "audit" TO flywheel_app;
GRANT SELECT ON "pool", "rate", "cluster" TO flywheel_app;
-- Waking a key is part of a tenant's own transaction; reading or finishing one is not.
GRANT SELECT, INSERT, UPDATE ON "task" TO flywheel_app;
-- Names of fellow members and of the forge, never their secrets.
GRANT SELECT ON "app_user" TO flywheel_app;
GRANT SELECT ("id", "kind", "name", "base_url", "app_slug") ON "forge_connection" TO flywheel_app;
GRANT SELECT ON "billing_account" TO flywheel_app;

-- ------------------------------------------------------------------------------------------------ row security
-- No setting, or an empty one (left by a pooled connection's former transaction), matches no row.

CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('app.tenant_id', true), '')::uuid $$;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['membership', 'enrollment', 'enrollment_pool', 'plan', 'credential', 'cache_view',
                                      'runner_reading', 'job', 'audit']
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY own_tenant ON %I TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', tenant_table);
    EXECUTE format('CREATE POLICY all_tenants ON %I TO flywheel_system USING (true) WITH CHECK (true)', tenant_table);
  END LOOP;
END $$;

ALTER TABLE "tenant" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "tenant" FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON "tenant" TO flywheel_app USING (id = current_tenant()) WITH CHECK (id = current_tenant());
CREATE POLICY all_tenants ON "tenant" TO flywheel_system USING (true) WITH CHECK (true);

ALTER TABLE "app_user" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "app_user" FORCE ROW LEVEL SECURITY;
CREATE POLICY fellow_members ON "app_user" FOR SELECT TO flywheel_app
  USING (EXISTS (SELECT FROM "membership" m WHERE m.user_id = app_user.id));
CREATE POLICY everybody ON "app_user" TO flywheel_system USING (true) WITH CHECK (true);

ALTER TABLE "billing_account" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "billing_account" FORCE ROW LEVEL SECURITY;
CREATE POLICY own_account ON "billing_account" FOR SELECT TO flywheel_app
  USING (EXISTS (SELECT FROM "tenant" t WHERE t.billing_account_id = billing_account.id));
CREATE POLICY every_account ON "billing_account" TO flywheel_system USING (true) WITH CHECK (true);
