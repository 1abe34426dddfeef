-- CreateEnum
CREATE TYPE "RoleOverride" AS ENUM ('admin', 'member', 'billing', 'none');

-- AlterTable
ALTER TABLE "identity" ADD COLUMN     "check_trouble" TEXT,
ADD COLUMN     "check_wanted_at" TIMESTAMPTZ(3),
ADD COLUMN     "checked_at" TIMESTAMPTZ(3),
ADD COLUMN     "next_check_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "membership" ADD COLUMN     "forge_roles" JSONB NOT NULL DEFAULT '{}',
ADD COLUMN     "override" "RoleOverride",
ADD COLUMN     "set_at" TIMESTAMPTZ(3),
ADD COLUMN     "set_by" TEXT,
ALTER COLUMN "role" DROP NOT NULL;

-- AlterTable
ALTER TABLE "session" ADD COLUMN     "authenticated_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP;

-- AlterTable
ALTER TABLE "tenant" ADD COLUMN     "team_connection_id" TEXT,
ADD COLUMN     "team_external_id" TEXT,
ADD COLUMN     "team_name" TEXT;

-- CreateTable
CREATE TABLE "invitation" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "role" "Role" NOT NULL,
    "connection_id" TEXT NOT NULL,
    "subject" TEXT,
    "login" TEXT NOT NULL,
    "token_hash" TEXT NOT NULL,
    "invited_by_id" UUID NOT NULL,
    "invited_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "accepted_at" TIMESTAMPTZ(3),
    "accepted_by_id" UUID,
    "revoked_at" TIMESTAMPTZ(3),

    CONSTRAINT "invitation_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "invitation_token_hash_key" ON "invitation"("token_hash");

-- CreateIndex
CREATE INDEX "invitation_tenant_id_created_at_idx" ON "invitation"("tenant_id", "created_at");

-- CreateIndex
CREATE INDEX "tenant_team_connection_id_team_external_id_idx" ON "tenant"("team_connection_id", "team_external_id");

-- AddForeignKey
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_team_connection_id_fkey" FOREIGN KEY ("team_connection_id") REFERENCES "forge_connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "invitation" ADD CONSTRAINT "invitation_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "invitation" ADD CONSTRAINT "invitation_connection_id_fkey" FOREIGN KEY ("connection_id") REFERENCES "forge_connection"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what was there before

-- What each forge said is not known apart until it is asked again: where a role follows one, the next look tells.
-- A session that is open was signed in to when it began.
UPDATE "session" SET "authenticated_at" = "created_at";

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

-- A team is an id at a connection, and has a name there.
ALTER TABLE "tenant" ADD CONSTRAINT "tenant_team_whole"
  CHECK (num_nulls("team_connection_id", "team_external_id", "team_name") IN (0, 3));
-- Only who is kept out, or was and is not on the forge any more, has no role.
ALTER TABLE "membership" ADD CONSTRAINT "membership_role_unless_overridden" CHECK ("role" IS NOT NULL OR "override" IS NOT NULL);
-- Somebody who accepted is named.
ALTER TABLE "invitation" ADD CONSTRAINT "invitation_accepted_whole" CHECK (("accepted_at" IS NULL) = ("accepted_by_id" IS NULL));

-- The token's hash is for the system alone; a tenant's pages read the rest.
GRANT SELECT, INSERT, UPDATE, DELETE ON "invitation" TO flywheel_system;
GRANT SELECT ("id", "tenant_id", "role", "connection_id", "subject", "login", "invited_by_id", "invited_by", "created_at",
  "expires_at", "accepted_at", "accepted_by_id", "revoked_at") ON "invitation" TO flywheel_app;

ALTER TABLE "invitation" ENABLE ROW LEVEL SECURITY;
ALTER TABLE "invitation" FORCE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON "invitation" TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY all_tenants ON "invitation" TO flywheel_system USING (true) WITH CHECK (true);
