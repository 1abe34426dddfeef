-- A key that is forgotten goes with its row, and is there again with another: its leases then began to count anew, so that
-- somebody who had slept since could have held the same token. A worker of the version before still counts by one.
CREATE SEQUENCE "task_lease_token";
SELECT setval('task_lease_token', coalesce(max("lease_token"), 0) + 1) FROM "task";
GRANT USAGE ON SEQUENCE "task_lease_token" TO flywheel_system;
