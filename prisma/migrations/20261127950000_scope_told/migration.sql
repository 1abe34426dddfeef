-- When the scope's own webhook gave a reason to look at it, for forges that have no installation to keep that beside.
ALTER TABLE "enrollment" ADD COLUMN "told_at" TIMESTAMPTZ(3);
