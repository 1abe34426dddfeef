-- What deliveries told of jobs and no worker has taken into the ledger yet: few at any time, looked for at each wake.
CREATE INDEX "delivery_to_take" ON "delivery" ("connection_id", "received_at") WHERE "handled_at" IS NULL;
