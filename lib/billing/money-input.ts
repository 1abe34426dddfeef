import { z } from 'zod';
import { Exact } from './exact.ts';

/** An amount of money that a person types: a decimal, not negative, of which cents are the last digit. */
export const Amount = z
  .string()
  .trim()
  .regex(/^\d{1,12}(\.\d{1,2})?$/, 'is an amount such as 250 or 99.50');

/** A price of one unit: far below a cent for a second. */
export const UnitPrice = z
  .string()
  .trim()
  .regex(/^\d{1,8}(\.\d{1,12})?$/, 'is a price such as 0.000055555556, with at most 12 digits behind the point');

export const Percent = z
  .string()
  .trim()
  .regex(/^\d{1,3}(\.\d{1,4})?$/, 'is a percentage such as 12.5')
  .refine((text) => new Exact(/^\d/.test(text) ? text : 0).lte(100), 'is at most 100');

export const Currency = z
  .string()
  .trim()
  .regex(/^[A-Z]{3}$/, 'is a code such as USD');
