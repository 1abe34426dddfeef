-- AlterTable
ALTER TABLE "audit" ADD COLUMN     "hash" BYTEA,
ADD COLUMN     "previous" BYTEA,
ADD COLUMN     "seq" BIGINT;

-- CreateTable
CREATE TABLE "audit_head" (
    "chain" UUID NOT NULL,
    "seq" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,

    CONSTRAINT "audit_head_pkey" PRIMARY KEY ("chain")
);

-- CreateTable
CREATE TABLE "audit_anchor" (
    "chain" UUID NOT NULL,
    "seq" BIGINT NOT NULL,
    "hash" BYTEA NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "mac" BYTEA NOT NULL,

    CONSTRAINT "audit_anchor_pkey" PRIMARY KEY ("chain","seq")
);

-- CreateIndex
CREATE INDEX "audit_tenant_id_id_idx" ON "audit"("tenant_id", "id");

-- A sequence number is used once in its chain, that of the records without a tenant included.
CREATE UNIQUE INDEX "audit_tenant_id_seq_key" ON "audit"("tenant_id", "seq") NULLS NOT DISTINCT WHERE "seq" IS NOT NULL;
-- What a transaction has added and its commit has yet to chain: no committed record is here.
CREATE INDEX "audit_unchained" ON "audit" ("tenant_id") WHERE "seq" IS NULL;

-- ------------------------------------------------------------------------------------------------ the chain
-- One chain for each tenant, and one, under the zero id, for the records without a tenant. A record's hash is over the hash
-- before it and its own content, so that none can be edited, removed, moved or put in without every later hash being wrong.
-- The database computes it: no writer can leave it out or choose it.

-- Each part as `<bytes>:<text>`, an absent one as `-`: no two lists of parts read the same.
CREATE FUNCTION audit_text(VARIADIC parts text[]) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
  SET search_path = pg_catalog
  AS $$
    SELECT string_agg(CASE WHEN part IS NULL THEN '-' ELSE octet_length(convert_to(part, 'UTF8')) || ':' || part END, ',' ORDER BY place)
    FROM unnest(parts) WITH ORDINALITY AS given (part, place)
  $$;

-- Held to lib/tenant/audit-chain.ts, which computes the same by itself, by a test.
CREATE FUNCTION audit_hash(record audit, link bigint, before_it bytea) RETURNS bytea LANGUAGE sql STABLE
  SET search_path = pg_catalog, public
  AS $$
    SELECT sha256(before_it || convert_to(public.audit_text(
      link::text, record.id::text, to_char(record.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), record.tenant_id::text,
      record.actor_id::text, record.actor, record.action, record.target, record.before::text, record.after::text,
      record.request_id), 'UTF8'))
  $$;

-- Chains what this transaction has added. Heads are locked chain by chain in one order, and last of all locks since it runs
-- at commit: whoever waits for a head waits for somebody who waits for nothing but the disk.
CREATE FUNCTION audit_chain_added() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp
  AS $$
  DECLARE
    no_tenant CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    added audit;
    head audit_head;
  BEGIN
    FOR added IN
      SELECT * FROM audit WHERE seq IS NULL ORDER BY coalesce(tenant_id, no_tenant), at, id
    LOOP
      IF head.chain IS DISTINCT FROM coalesce(added.tenant_id, no_tenant) THEN
        INSERT INTO audit_head (chain, seq, hash) VALUES (coalesce(added.tenant_id, no_tenant), 0, sha256(''))
          ON CONFLICT DO NOTHING;
        SELECT * INTO STRICT head FROM audit_head WHERE chain = coalesce(added.tenant_id, no_tenant) FOR UPDATE;
      END IF;
      UPDATE audit SET seq = head.seq + 1, previous = head.hash, hash = audit_hash(added, head.seq + 1, head.hash)
        WHERE id = added.id
        RETURNING seq, hash INTO STRICT head.seq, head.hash;
      UPDATE audit_head SET seq = head.seq, hash = head.hash WHERE chain = head.chain;
    END LOOP;
  END $$;
REVOKE EXECUTE ON FUNCTION audit_chain_added() FROM PUBLIC;

CREATE FUNCTION audit_at_commit() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
  SET search_path = pg_catalog, public, pg_temp
  AS $$
  BEGIN
    PERFORM public.audit_chain_added();
    RETURN NULL;
  END $$;

-- When it happened is the database's to say, to the microsecond, so that records of one transaction keep their order.
CREATE FUNCTION audit_as_added() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, pg_temp
  AS $$
  BEGIN
    NEW.at := clock_timestamp();
    NEW.seq := NULL;
    NEW.previous := NULL;
    NEW.hash := NULL;
    RETURN NEW;
  END $$;

-- For whom privileges do not bind, the owner of the table: nothing happens to a record by mistake.
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp
  AS $$
  DECLARE
    chained audit;
  BEGIN
    IF TG_OP = 'UPDATE' THEN
      chained := OLD;
      chained.seq := NEW.seq;
      chained.previous := NEW.previous;
      chained.hash := NEW.hash;
      IF OLD.seq IS NULL AND NEW.seq IS NOT NULL AND chained IS NOT DISTINCT FROM NEW THEN
        RETURN NEW;
      END IF;
    END IF;
    RAISE EXCEPTION 'audit records are added and never changed' USING ERRCODE = 'restrict_violation';
  END $$;

-- Row security binds the owner too, as whom the chain is written.
DO $$
BEGIN
  EXECUTE format('CREATE POLICY chain ON "audit" TO %I USING (true) WITH CHECK (true)', current_user);
END $$;

-- Records that are there already, in the order in which they were made.
SELECT audit_chain_added();

CREATE TRIGGER "audit_as_added" BEFORE INSERT ON "audit" FOR EACH ROW EXECUTE FUNCTION audit_as_added();
CREATE CONSTRAINT TRIGGER "audit_at_commit" AFTER INSERT ON "audit" DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION audit_at_commit();
CREATE TRIGGER "audit_stays" BEFORE UPDATE OR DELETE ON "audit" FOR EACH ROW EXECUTE FUNCTION audit_stays();
CREATE TRIGGER "audit_stays_whole" BEFORE TRUNCATE ON "audit" FOR EACH STATEMENT EXECUTE FUNCTION audit_stays();

-- ------------------------------------------------------------------------------------------------ who may what

REVOKE INSERT ON "audit" FROM flywheel_app, flywheel_system;
GRANT INSERT ("id", "at", "tenant_id", "actor_id", "actor", "action", "target", "before", "after", "request_id") ON "audit" TO flywheel_app, flywheel_system;
GRANT SELECT ON "audit_head" TO flywheel_system;
-- An anchor is kept for good, as a record is.
GRANT SELECT, INSERT ON "audit_anchor" TO flywheel_system;
