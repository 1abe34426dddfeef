-- By what a runner's job is found where it has no name of its own (GitLab), or serves one job after another (Forgejo).
ALTER TABLE "usage_source" ADD COLUMN "forge_job_id" TEXT, ADD COLUMN "serves_one" BOOLEAN NOT NULL DEFAULT true;

-- A price of one currency says nothing of another's.
DROP INDEX "rate_meter_pool_name_valid_from_key";
CREATE UNIQUE INDEX "rate_meter_pool_name_currency_valid_from_key" ON "rate"("meter", "pool_name", "currency", "valid_from") NULLS NOT DISTINCT;

-- What runs now is asked for by every page that is open, and what never ended by every round of the worker.
CREATE INDEX "job_tenant_id_state_idx" ON "job"("tenant_id", "state");
CREATE INDEX "job_open" ON "job"("queued_at") WHERE "state" IN ('queued', 'running');
