'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { invalidFields } from '#lib/errors.ts';
import {
  addEndpoint,
  changeEndpoint,
  ChangeEndpointInput,
  disableEndpoint,
  enableEndpoint,
  EndpointId,
  EndpointInput,
  endpointView,
  MessageId,
  removeEndpoint,
  replayMessage,
  rotateSecret,
  sendTest,
} from '#lib/notice/index.ts';
import { action, type Ctx } from '#lib/tenant/index.ts';

const listOf = ({ tenant }: Ctx) => `/t/${tenant.slug}/settings/webhooks`;

export const add = action('settings:change', EndpointInput, async (ctx, input) => {
  const added = await addEndpoint(ctx, input);
  revalidatePath(listOf(ctx));
  return added;
});

export const change = action('settings:change', ChangeEndpointInput, async (ctx, input) => {
  await changeEndpoint(ctx, input);
  revalidatePath(listOf(ctx), 'layout');
});

export const rotate = action(
  'settings:change',
  EndpointId,
  async (ctx, { endpointId }) => {
    const rotated = await rotateSecret(ctx, endpointId, new Date());
    revalidatePath(listOf(ctx), 'layout');
    return rotated;
  },
  { fresh: true },
);

export const disable = action('settings:change', EndpointId, async (ctx, { endpointId }) => {
  await disableEndpoint(ctx, endpointId, new Date());
  revalidatePath(listOf(ctx), 'layout');
});

export const enable = action('settings:change', EndpointId, async (ctx, { endpointId }) => {
  await enableEndpoint(ctx, endpointId);
  revalidatePath(listOf(ctx), 'layout');
});

export const test = action('settings:change', EndpointId, async (ctx, { endpointId }) => {
  await sendTest(ctx, endpointId);
  revalidatePath(listOf(ctx), 'layout');
});

export const replay = action('settings:change', MessageId, async (ctx, { messageId }) => {
  await replayMessage(ctx, messageId, new Date());
  revalidatePath(listOf(ctx), 'layout');
});

const Remove = EndpointId.extend({ host: z.string().trim().max(300) });

export const remove = action(
  'settings:change',
  Remove,
  async (ctx, { endpointId, host }) => {
    const { url } = await endpointView(ctx, endpointId, new Date());
    if (host !== new URL(url).host) throw invalidFields({ host: 'This is not its name.' });
    await removeEndpoint(ctx, endpointId);
    redirect(listOf(ctx));
  },
  { fresh: true },
);
