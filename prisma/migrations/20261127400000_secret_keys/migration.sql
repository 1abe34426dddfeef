-- Rotation of the portal's secret key: what a key before it sealed and signed is sealed and signed by the present one.

-- AlterTable
ALTER TABLE "audit_anchor" ADD COLUMN     "key_id" TEXT;

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

-- A version of a state is what it was when it was written, for the owner too. The one thing that may change is the key that
-- seals it: the same content under another key has the same length and names another key in its first bytes after the format.
CREATE FUNCTION state_version_stays() RETURNS trigger LANGUAGE plpgsql
  SET search_path = pg_catalog, public, pg_temp
  AS $$
  DECLARE
    resealed state_version;
  BEGIN
    IF TG_OP = 'UPDATE' AND OLD.sealed IS NOT NULL AND NEW.sealed IS NOT NULL THEN
      resealed := OLD;
      resealed.sealed := NEW.sealed;
      IF resealed IS NOT DISTINCT FROM NEW AND octet_length(NEW.sealed) = octet_length(OLD.sealed)
        AND substring(NEW.sealed FROM 1 FOR 1) = substring(OLD.sealed FROM 1 FOR 1)
        AND substring(NEW.sealed FROM 2 FOR 8) <> substring(OLD.sealed FROM 2 FOR 8) THEN
        RETURN NEW;
      END IF;
    END IF;
    RAISE EXCEPTION 'versions of a state are added and never changed, but for the key that seals them' USING ERRCODE = 'restrict_violation';
  END $$;
CREATE TRIGGER "state_version_stays" BEFORE UPDATE OR DELETE ON "state_version" FOR EACH ROW EXECUTE FUNCTION state_version_stays();
CREATE TRIGGER "state_version_stays_whole" BEFORE TRUNCATE ON "state_version" FOR EACH STATEMENT EXECUTE FUNCTION state_version_stays();

-- ------------------------------------------------------------------------------------------------ who may what

GRANT UPDATE ("sealed") ON "state_version" TO flywheel_system;
-- What an anchor says stays; only by which key it is said may change.
GRANT UPDATE ("mac", "key_id") ON "audit_anchor" TO flywheel_system;
