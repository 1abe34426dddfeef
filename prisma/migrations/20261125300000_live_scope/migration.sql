-- A scope is enrolled once. Ids count at their own level only: an organization and a repository may have the same number.
DROP INDEX "enrollment_live_scope";
CREATE UNIQUE INDEX "enrollment_live_scope" ON "enrollment" ("connection_id", "level", "scope_id") WHERE "state" IN ('active', 'withdrawing');
