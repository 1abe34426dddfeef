-- When something gave a reason to look at the scope itself: beside its installation, which not every forge has, nor every scope.
ALTER TABLE "enrollment" ADD COLUMN "told_at" TIMESTAMPTZ(3);
