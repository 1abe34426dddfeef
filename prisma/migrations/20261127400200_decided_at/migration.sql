-- AlterTable
ALTER TABLE "enrollment" ADD COLUMN     "decided_at" TIMESTAMPTZ(3);
