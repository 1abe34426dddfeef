-- DropForeignKey
ALTER TABLE "rate" DROP CONSTRAINT "rate_pool_name_fkey";

-- DropIndex
DROP INDEX "rate_pool_name_valid_from_key";

-- AlterTable
-- What was a price for each second of a runner stays one: the column is only renamed.
ALTER TABLE "rate" RENAME COLUMN "price_per_runner_second" TO "unit_price";
ALTER TABLE "rate" ADD COLUMN     "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
ADD COLUMN     "meter" TEXT NOT NULL DEFAULT 'runnerSeconds',
ADD COLUMN     "tiers" JSONB,
ALTER COLUMN "pool_name" DROP NOT NULL;

-- CreateTable
CREATE TABLE "usage_source" (
    "id" TEXT NOT NULL,
    "cluster_id" TEXT NOT NULL,
    "tenant_id" UUID,
    "enrollment_id" UUID,
    "kind" TEXT NOT NULL,
    "pool_name" TEXT,
    "name" TEXT NOT NULL,
    "cpu_cores" DECIMAL(12,3) NOT NULL DEFAULT 0,
    "memory_gib" DECIMAL(14,6) NOT NULL DEFAULT 0,
    "gpu_count" INTEGER NOT NULL DEFAULT 0,
    "started_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "ended_itself" BOOLEAN,

    CONSTRAINT "usage_source_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "usage_reading" (
    "source_id" TEXT NOT NULL,
    "meter" TEXT NOT NULL,
    "observed_at" TIMESTAMPTZ(3) NOT NULL,
    "quantity" DECIMAL(24,6) NOT NULL,

    CONSTRAINT "usage_reading_pkey" PRIMARY KEY ("source_id","meter","observed_at")
) PARTITION BY RANGE ("observed_at");

-- CreateTable
CREATE TABLE "usage_hour" (
    "source_id" TEXT NOT NULL,
    "meter" TEXT NOT NULL,
    "hour" TIMESTAMPTZ(3) NOT NULL,
    "tenant_id" UUID,
    "highest" DECIMAL(24,6) NOT NULL,

    CONSTRAINT "usage_hour_pkey" PRIMARY KEY ("source_id","meter","hour")
);

-- CreateTable
CREATE TABLE "usage_refusal" (
    "id" BIGSERIAL NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "source_id" TEXT NOT NULL,
    "meter" TEXT NOT NULL,
    "observed_at" TEXT NOT NULL,
    "quantity" TEXT NOT NULL,
    "reason" TEXT NOT NULL,

    CONSTRAINT "usage_refusal_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "usage_watch" (
    "cluster_id" TEXT NOT NULL,
    "began_at" TIMESTAMPTZ(3) NOT NULL,
    "seen_until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "usage_watch_pkey" PRIMARY KEY ("cluster_id","began_at")
);

-- CreateTable
CREATE TABLE "cost_rule" (
    "pool_name" TEXT NOT NULL,
    "valid_from" TIMESTAMPTZ(3) NOT NULL,
    "idle" TEXT NOT NULL,

    CONSTRAINT "cost_rule_pkey" PRIMARY KEY ("pool_name","valid_from")
);

-- CreateTable
CREATE TABLE "agreement" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "currency" TEXT NOT NULL DEFAULT 'USD',
    "discount_percent" DECIMAL(7,4) NOT NULL DEFAULT 0,
    "committed_amount" DECIMAL(20,6) NOT NULL DEFAULT 0,
    "valid_from" TIMESTAMPTZ(3) NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "agreement_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "cost_tag" (
    "tenant_id" UUID NOT NULL,
    "repository" TEXT NOT NULL DEFAULT '',
    "key" TEXT NOT NULL,
    "value" TEXT NOT NULL,

    CONSTRAINT "cost_tag_pkey" PRIMARY KEY ("tenant_id","repository","key")
);

-- CreateTable
CREATE TABLE "budget" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "team_id" UUID,
    "repository" TEXT,
    "amount" DECIMAL(20,6) NOT NULL,
    "currency" TEXT NOT NULL DEFAULT 'USD',
    "thresholds" INTEGER[],
    "is_limit" BOOLEAN NOT NULL DEFAULT false,
    "step" INTEGER NOT NULL DEFAULT 0,
    "announced" INTEGER NOT NULL DEFAULT 0,
    "announced_at" TIMESTAMPTZ(3),
    "told" INTEGER NOT NULL DEFAULT 0,
    "period" TEXT NOT NULL DEFAULT '',
    "lifted_in" TEXT,
    "created_by_id" UUID,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "budget_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "invoice" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "period" TEXT NOT NULL,
    "number" TEXT NOT NULL,
    "currency" TEXT NOT NULL,
    "total" DECIMAL(20,6) NOT NULL,
    "closed_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "closed_by" TEXT NOT NULL,

    CONSTRAINT "invoice_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "invoice_line" (
    "invoice_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "tenant_id" UUID NOT NULL,
    "position" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "description" TEXT NOT NULL,
    "period" TEXT NOT NULL,
    "meter" TEXT,
    "pool_name" TEXT,
    "rate_id" UUID,
    "quantity" DECIMAL(30,6),
    "unit_price" DECIMAL(20,12),
    "list_cost" DECIMAL(20,6) NOT NULL,
    "contracted_cost" DECIMAL(20,6) NOT NULL,

    CONSTRAINT "invoice_line_pkey" PRIMARY KEY ("invoice_id","key")
);

-- CreateIndex
CREATE INDEX "usage_source_tenant_id_name_idx" ON "usage_source"("tenant_id", "name");

-- CreateIndex
CREATE INDEX "usage_hour_tenant_id_hour_idx" ON "usage_hour"("tenant_id", "hour");

-- CreateIndex
CREATE INDEX "usage_hour_hour_idx" ON "usage_hour"("hour");

-- CreateIndex
CREATE INDEX "usage_refusal_at_idx" ON "usage_refusal"("at");

-- CreateIndex
CREATE UNIQUE INDEX "usage_refusal_source_id_meter_observed_at_reason_key" ON "usage_refusal"("source_id", "meter", "observed_at", "reason");

-- CreateIndex
CREATE UNIQUE INDEX "agreement_tenant_id_valid_from_key" ON "agreement"("tenant_id", "valid_from");

-- CreateIndex
CREATE INDEX "budget_tenant_id_idx" ON "budget"("tenant_id");

-- CreateIndex
CREATE INDEX "budget_team_id_idx" ON "budget"("team_id");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_number_key" ON "invoice"("number");

-- CreateIndex
CREATE UNIQUE INDEX "invoice_tenant_id_period_key" ON "invoice"("tenant_id", "period");

-- CreateIndex
CREATE INDEX "invoice_line_tenant_id_period_idx" ON "invoice_line"("tenant_id", "period");

-- CreateIndex
CREATE UNIQUE INDEX "rate_meter_pool_name_valid_from_key" ON "rate"("meter", "pool_name", "valid_from") NULLS NOT DISTINCT;

-- AddForeignKey
ALTER TABLE "rate" ADD CONSTRAINT "rate_pool_name_fkey" FOREIGN KEY ("pool_name") REFERENCES "pool"("name") ON DELETE SET NULL ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "invoice_line" ADD CONSTRAINT "invoice_line_invoice_id_fkey" FOREIGN KEY ("invoice_id") REFERENCES "invoice"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what may be there

ALTER TABLE "usage_reading" ADD CONSTRAINT "usage_reading_not_negative" CHECK ("quantity" >= 0);
ALTER TABLE "usage_hour" ADD CONSTRAINT "usage_hour_not_negative" CHECK ("highest" >= 0);
ALTER TABLE "usage_hour" ADD CONSTRAINT "usage_hour_is_an_hour" CHECK (date_trunc('hour', "hour", 'UTC') = "hour");
ALTER TABLE "budget" ADD CONSTRAINT "budget_positive" CHECK ("amount" > 0);
ALTER TABLE "budget" ADD CONSTRAINT "budget_step_is_one" CHECK ("step" BETWEEN 0 AND 3);
ALTER TABLE "agreement" ADD CONSTRAINT "agreement_discount_is_a_share" CHECK ("discount_percent" BETWEEN 0 AND 100 AND "committed_amount" >= 0);
-- A negative amount is a correction's, and nothing else's.
ALTER TABLE "invoice_line" ADD CONSTRAINT "invoice_line_negative_only_to_correct" CHECK ("kind" = 'correction' OR ("list_cost" >= 0 AND "contracted_cost" >= 0));
-- What was entered before is left as it was.
ALTER TABLE "rate" ADD CONSTRAINT "rate_begins_at_midnight" CHECK (date_trunc('day', "valid_from", 'UTC') = "valid_from" AND ("valid_to" IS NULL OR date_trunc('day', "valid_to", 'UTC') = "valid_to")) NOT VALID;
ALTER TABLE "cost_rule" ADD CONSTRAINT "cost_rule_is_one" CHECK ("idle" IN ('by-use', 'even', 'operator'));

-- ------------------------------------------------------------------------------------------------ partitions
-- A partition a month (UTC). Only the owner may make and drop tables, so the system role asks these two.

CREATE FUNCTION usage_partition_ensure(month_of timestamptz) RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  first timestamptz := date_trunc('month', month_of, 'UTC');
  name text := 'usage_reading_' || to_char(first AT TIME ZONE 'UTC', 'YYYYMM');
BEGIN
  IF to_regclass(name) IS NOT NULL THEN
    RETURN;
  END IF;
  -- Two workers at once take turns; the second finds it made.
  PERFORM pg_advisory_xact_lock(hashtext('usage_reading partitions'));
  EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF usage_reading FOR VALUES FROM (%L) TO (%L)', name, first, (first AT TIME ZONE 'UTC' + interval '1 month') AT TIME ZONE 'UTC');
END $$;

-- Drops the months that ended before this instant, and says how many.
CREATE FUNCTION usage_partition_drop(before timestamptz) RETURNS integer LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  each record;
  dropped integer := 0;
BEGIN
  FOR each IN
    SELECT c.relname AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'usage_reading'::regclass AND c.relname ~ '^usage_reading_\d{6}$'
  LOOP
    IF (to_timestamp(right(each.name, 6) || '01', 'YYYYMMDD')::timestamp + interval '1 month') AT TIME ZONE 'UTC' <= before THEN
      EXECUTE format('DROP TABLE %I', each.name);
      dropped := dropped + 1;
    END IF;
  END LOOP;
  RETURN dropped;
END $$;

REVOKE ALL ON FUNCTION usage_partition_ensure(timestamptz), usage_partition_drop(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_partition_ensure(timestamptz), usage_partition_drop(timestamptz) TO flywheel_system;

-- ------------------------------------------------------------------------------------------------ what was read before

DO $$
DECLARE
  month_of timestamptz;
BEGIN
  FOR month_of IN
    SELECT DISTINCT date_trunc('month', observed_at, 'UTC') FROM runner_reading
    UNION SELECT now() UNION SELECT now() + interval '1 month'
  LOOP
    PERFORM usage_partition_ensure(month_of);
  END LOOP;
END $$;

INSERT INTO usage_source (id, cluster_id, tenant_id, enrollment_id, kind, pool_name, name, started_at)
SELECT r.pod_uid, t.cluster_id, r.tenant_id, r.enrollment_id, 'runner', r.pool_name, r.pod_uid, min(r.started_at)
FROM runner_reading r JOIN tenant t ON t.id = r.tenant_id GROUP BY 1, 2, 3, 4, 6
ON CONFLICT DO NOTHING;
INSERT INTO usage_reading (source_id, meter, observed_at, quantity)
SELECT pod_uid, 'runnerSeconds', observed_at, runner_seconds FROM runner_reading;
INSERT INTO usage_hour (source_id, meter, hour, tenant_id, highest)
SELECT r.source_id, r.meter, date_trunc('hour', r.observed_at, 'UTC'), s.tenant_id, max(r.quantity)
FROM usage_reading r JOIN usage_source s ON s.id = r.source_id GROUP BY 1, 2, 3, 4;

-- DropTable
DROP TABLE "runner_reading";

-- ------------------------------------------------------------------------------------------------ who may what

GRANT SELECT, INSERT ON "usage_reading", "usage_refusal", "invoice", "invoice_line" TO flywheel_system;
GRANT USAGE ON SEQUENCE "usage_refusal_id_seq" TO flywheel_system;
GRANT SELECT, INSERT, UPDATE ON "usage_source", "usage_hour", "usage_watch" TO flywheel_system;
GRANT DELETE ON "usage_refusal" TO flywheel_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON "cost_rule", "agreement", "cost_tag", "budget" TO flywheel_system;
GRANT SELECT ON "usage_source", "usage_hour", "agreement", "invoice", "invoice_line", "cost_rule" TO flywheel_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON "cost_tag", "budget" TO flywheel_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['usage_source', 'usage_hour', 'agreement', 'cost_tag', 'budget', 'invoice', 'invoice_line']
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY own_tenant ON %I TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', tenant_table);
    EXECUTE format('CREATE POLICY all_tenants ON %I TO flywheel_system USING (true) WITH CHECK (true)', tenant_table);
  END LOOP;
END $$;
