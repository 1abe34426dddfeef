'use server';

import { redirect } from 'next/navigation';
import { z } from 'zod';
import { personAction } from '#lib/tenant/index.ts';
import { beginLinking } from '../../api/auth/sign-in.ts';

const AddAccount = z.strictObject({ connection: z.string().regex(/^[a-z0-9-]{1,60}$/) });

export const addAccount = personAction(AddAccount, async (_by, { connection }) =>
  redirect(await beginLinking(connection)),
);
