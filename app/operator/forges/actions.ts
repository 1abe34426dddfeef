'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import {
  addForge,
  beginConnection,
  beginPlatformApp,
  changeForge,
  ChangeForgeInput,
  NewConnectionInput,
  NewForgeInput,
  PlatformAppInput,
  PlatformKeyInput,
  replacePlatformKey,
} from '#lib/enrollment/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

/** On to GitHub, which makes the App of a forge that has none. */
export const createApp = operatorAction('operator:change', PlatformAppInput, async (by, input) =>
  redirect(await beginPlatformApp(by, input)),
);

/** The same, and the forge is entered when they are back. */
export const addGithub = operatorAction('operator:change', NewConnectionInput, async (by, input) =>
  redirect(await beginConnection(by, input)),
);

/** A GitLab or a Forgejo, the vendor's or one's own. */
export const enterForge = operatorAction('operator:change', NewForgeInput, async (by, input) => {
  await addForge(by, input);
  redirect(`/operator/forges?${new URLSearchParams({ entered: input.connectionId }).toString()}`);
});

export const replaceKey = operatorAction(
  'operator:change',
  PlatformKeyInput,
  async (by, input) => {
    await replacePlatformKey(by, input);
    revalidatePath('/operator/forges');
  },
  { fresh: true },
);

/** Who vouches for it, where runners reach it, its secrets. */
export const change = operatorAction(
  'operator:change',
  ChangeForgeInput,
  async (by, input) => {
    await changeForge(by, input);
    redirect(`/operator/forges?${new URLSearchParams({ changed: input.connectionId }).toString()}`);
  },
  { fresh: (_, { clientSecret, newWebhookSecret }) => clientSecret !== null || newWebhookSecret },
);
