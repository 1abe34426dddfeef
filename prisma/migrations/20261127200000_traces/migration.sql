-- By which trace a key was last woken, and when: the passes that follow go on with it.
-- AlterTable
ALTER TABLE "task" ADD COLUMN     "traced_at" TIMESTAMPTZ(6),
ADD COLUMN     "traceparent" TEXT;
