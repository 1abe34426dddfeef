import { z } from 'zod';
import { Quota } from '#lib/model/index.ts';

/** A quota as a form sends it: the number of runners is text there. */
export const QuotaForm = z.strictObject({
  ...Quota.shape,
  runners: z
    .string()
    .regex(/^\d{1,5}$/, 'is a whole number')
    .transform(Number)
    .pipe(Quota.shape.runners),
});
