-- What belongs to an enrollment goes with it. What a discarded draft left behind is nobody's.
DELETE FROM "credential" c WHERE NOT EXISTS (SELECT FROM "enrollment" e WHERE e."id" = c."enrollment_id");
ALTER TABLE "credential" ADD CONSTRAINT "credential_enrollment_id_fkey" FOREIGN KEY ("enrollment_id") REFERENCES "enrollment"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- A tenant has one Bazel cache, and that has one password, whichever enrollment needed it first. The oldest of several stays.
DELETE FROM "credential" c USING "credential" older
  WHERE c."kind" = 'bazel-password' AND older."kind" = 'bazel-password' AND older."tenant_id" = c."tenant_id" AND older."id" < c."id";
CREATE UNIQUE INDEX "credential_one_bazel_password" ON "credential" ("tenant_id") WHERE "kind" = 'bazel-password';
