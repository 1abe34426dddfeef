-- AlterTable
ALTER TABLE "github_app" ADD COLUMN     "used_at" TIMESTAMPTZ(3);

-- ------------------------------------------------------------------------------------------------ who may read what is new

-- A tenant reads whose its App's key is and when it was last used; the key itself it does not.
GRANT SELECT ("created_by_id", "used_at") ON "github_app" TO flywheel_app;
