'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { decideDevice, DeviceCode, DeviceDecision, findDevice, personAction } from '#lib/tenant/index.ts';

export const find = personAction(DeviceCode, async (by, input) =>
  redirect(`/device/${await findDevice(by, input, new Date())}`),
);

export const decide = personAction(DeviceDecision, async (by, input) => {
  await decideDevice(by, input, new Date());
  revalidatePath(`/device/${input.login}`);
});
