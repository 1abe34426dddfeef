import { defineConfig } from 'prisma/config';

export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  // Only Prisma's own commands read this, never the portal; `prisma generate` needs no database at all.
  datasource: { url: process.env['DATABASE_OWNER_URL'] ?? '' },
});
