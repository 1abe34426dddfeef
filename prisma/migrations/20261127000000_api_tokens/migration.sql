-- CreateTable
CREATE TABLE "api_token" (
    "id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "reaches_id" UUID,
    "name" TEXT NOT NULL,
    "token_hash" TEXT NOT NULL,
    "scopes" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "used_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "revoked_by" TEXT,

    CONSTRAINT "api_token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_count" (
    "token_id" UUID NOT NULL,
    "since" TIMESTAMPTZ(3) NOT NULL,
    "requests" INTEGER NOT NULL,

    CONSTRAINT "api_count_pkey" PRIMARY KEY ("token_id")
);

-- CreateTable
CREATE TABLE "api_answer" (
    "id" UUID NOT NULL,
    "token_id" UUID NOT NULL,
    "key" TEXT NOT NULL,
    "request_hash" TEXT NOT NULL,
    "status" INTEGER,
    "sealed_body" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "api_answer_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "api_token_token_hash_key" ON "api_token"("token_hash");

-- CreateIndex
CREATE INDEX "api_token_user_id_idx" ON "api_token"("user_id");

-- CreateIndex
CREATE INDEX "api_token_reaches_id_idx" ON "api_token"("reaches_id");

-- CreateIndex
CREATE UNIQUE INDEX "api_answer_token_id_key_key" ON "api_answer"("token_id", "key");

-- CreateIndex
CREATE INDEX "api_answer_created_at_idx" ON "api_answer"("created_at");

-- AddForeignKey
ALTER TABLE "api_token" ADD CONSTRAINT "api_token_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "app_user"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_token" ADD CONSTRAINT "api_token_reaches_id_fkey" FOREIGN KEY ("reaches_id") REFERENCES "tenant"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_count" ADD CONSTRAINT "api_count_token_id_fkey" FOREIGN KEY ("token_id") REFERENCES "api_token"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "api_answer" ADD CONSTRAINT "api_answer_token_id_fkey" FOREIGN KEY ("token_id") REFERENCES "api_token"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- ------------------------------------------------------------------------------------------------ what the schema cannot say

ALTER TABLE "api_token" ADD CONSTRAINT "api_token_revoked_whole" CHECK (("revoked_at" IS NULL) = ("revoked_by" IS NULL));
ALTER TABLE "api_token" ADD CONSTRAINT "api_token_scopes_some" CHECK (cardinality("scopes") > 0);
ALTER TABLE "api_answer" ADD CONSTRAINT "api_answer_whole" CHECK (("status" IS NULL) = ("sealed_body" IS NULL));
-- Counts live for a minute: no log has to be written for each request.
ALTER TABLE "api_count" SET UNLOGGED;

-- ------------------------------------------------------------------------------------------------ who may what

-- Tokens say who asks, before it is known for which tenant: the application role has nothing to do with them.
GRANT SELECT, INSERT, UPDATE ON "api_token" TO flywheel_system;
GRANT SELECT, INSERT, UPDATE ON "api_count" TO flywheel_system;
GRANT SELECT, INSERT, UPDATE, DELETE ON "api_answer" TO flywheel_system;
