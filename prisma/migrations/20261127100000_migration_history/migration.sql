-- What is applied, each process reads before it takes work (lib/health.ts); only who applies it may write it. The table is made
-- by the tool that applies, before the first migration, so that the first one's grant on all tables took it in.
DO $$
BEGIN
  IF to_regclass('public._prisma_migrations') IS NOT NULL THEN
    REVOKE ALL ON public._prisma_migrations FROM flywheel_system;
    GRANT SELECT (migration_name, finished_at, rolled_back_at) ON public._prisma_migrations TO flywheel_system;
  END IF;
END
$$;
