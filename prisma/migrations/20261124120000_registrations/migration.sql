-- AlterTable
ALTER TABLE "credential" ADD COLUMN     "external_id" TEXT,
ADD COLUMN     "owner" TEXT,
ADD COLUMN     "used_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "enrollment" ADD COLUMN     "owner_id" TEXT;

-- AlterTable
ALTER TABLE "forge_connection" ADD COLUMN     "ca_bundle" TEXT;

-- ------------------------------------------------------------------------------------------------ what was there before

-- Only GitHub could be enrolled until now: an organization owns itself, and a repository's owner is where the App is installed.
UPDATE "enrollment" SET "owner_id" = "scope_id" WHERE "level" = 'organization';
UPDATE "enrollment" e SET "owner_id" = i."account_id"
  FROM "installation" i
  WHERE e."level" = 'repository' AND i."connection_id" = e."connection_id" AND i."external_id" = e."installation_id";
