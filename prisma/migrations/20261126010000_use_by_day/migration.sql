-- What each day that is long over was used for, as it was reckoned: a roll-up of hours and jobs, and equal to them.
CREATE TABLE "use_day" (
    "tenant_id" UUID NOT NULL,
    "day" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "use_day_pkey" PRIMARY KEY ("tenant_id","day")
);

-- CreateTable
CREATE TABLE "use_day_line" (
    "tenant_id" UUID NOT NULL,
    "day" TIMESTAMPTZ(3) NOT NULL,
    "position" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "pool_name" TEXT,
    "meter" TEXT NOT NULL,
    "repository" TEXT,
    "workflow" TEXT,
    "has_failed" BOOLEAN NOT NULL,
    "quantity" DECIMAL NOT NULL,
    "cores" DECIMAL NOT NULL,
    "gib" DECIMAL NOT NULL,
    "gpus" DECIMAL NOT NULL,

    CONSTRAINT "use_day_line_pkey" PRIMARY KEY ("tenant_id","day","position")
);

-- AddForeignKey
ALTER TABLE "use_day_line" ADD CONSTRAINT "use_day_line_tenant_id_day_fkey" FOREIGN KEY ("tenant_id", "day") REFERENCES "use_day"("tenant_id", "day") ON DELETE CASCADE ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what comes late
-- A day is kept when it is three days old by this database's clock. Whoever writes what bears on it afterwards lets go of it
-- and of those after it, under a lock that whoever reckons days holds alone: neither can miss the other.

CREATE FUNCTION use_days_forget(whose uuid, since timestamptz) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended(whose::text, 7046313));
  DELETE FROM use_day WHERE tenant_id = whose AND day >= date_trunc('day', since, 'UTC');
END $$;

CREATE FUNCTION use_days_of_hour() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM use_days_forget(NEW.tenant_id, NEW.hour);
  RETURN NULL;
END $$;
CREATE TRIGGER use_days_of_hour AFTER INSERT OR UPDATE ON usage_hour FOR EACH ROW
  WHEN (NEW.tenant_id IS NOT NULL AND NEW.hour < now() - interval '2 days') EXECUTE FUNCTION use_days_of_hour();

-- How a runner ended says what its time without a job was.
CREATE FUNCTION use_days_of_source() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM use_days_forget(NEW.tenant_id, NEW.started_at);
  RETURN NULL;
END $$;
CREATE TRIGGER use_days_of_source AFTER UPDATE OF ended_at, ended_itself ON usage_source FOR EACH ROW
  WHEN (NEW.tenant_id IS NOT NULL AND NEW.started_at < now() - interval '2 days') EXECUTE FUNCTION use_days_of_source();

-- A job bears on what was used since it began; and where its runner has ended, on all the time of it, which waited for it.
CREATE FUNCTION use_days_of_job() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  since timestamptz := least(OLD.started_at, NEW.started_at, (
    SELECT min(started_at) FROM usage_source
    WHERE tenant_id = NEW.tenant_id AND name = NEW.runner_name AND ended_itself
      AND (serves_one OR (started_at <= NEW.started_at AND ended_at >= NEW.started_at))));
BEGIN
  IF since < now() - interval '2 days' THEN
    -- A pod that is made for its job begins a little before it.
    PERFORM use_days_forget(NEW.tenant_id, since - interval '1 day');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER use_days_of_job AFTER INSERT OR UPDATE ON job FOR EACH ROW
  WHEN (NEW.started_at IS NOT NULL) EXECUTE FUNCTION use_days_of_job();

-- ------------------------------------------------------------------------------------------------ who may what

GRANT SELECT, INSERT, DELETE ON "use_day", "use_day_line" TO flywheel_system;
GRANT SELECT ON "use_day", "use_day_line" TO flywheel_app;

DO $$
DECLARE
  tenant_table text;
BEGIN
  FOREACH tenant_table IN ARRAY ARRAY['use_day', 'use_day_line']
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', tenant_table);
    EXECUTE format('CREATE POLICY own_tenant ON %I TO flywheel_app USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', tenant_table);
    EXECUTE format('CREATE POLICY all_tenants ON %I TO flywheel_system USING (true) WITH CHECK (true)', tenant_table);
  END LOOP;
END $$;
