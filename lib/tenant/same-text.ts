import type { Prisma } from '#lib/db/index.ts';

/* Text compared without regard to case. Prisma makes ILIKE of it and hands `%`, `_` and `\\` on as they are (7.10, also for `equals`). */

function literal(text: string): string {
  return text.replaceAll(/[\\%_]/g, String.raw`\$&`);
}

export function containing(part: string): Prisma.StringFilter {
  return { contains: literal(part), mode: 'insensitive' };
}

export function sameText(text: string): Prisma.StringFilter {
  return { equals: literal(text), mode: 'insensitive' };
}
