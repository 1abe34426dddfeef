-- AlterTable
ALTER TABLE "forge_connection" ADD COLUMN     "runner_egress" TEXT;

-- ------------------------------------------------------------------------------------------------ who may read what is new

-- Nothing of these is secret: a tenant reads both in the objects of its own plan.
GRANT SELECT ("ca_bundle", "runner_egress") ON "forge_connection" TO flywheel_app;
