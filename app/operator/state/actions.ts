'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import {
  addCredential,
  addStack,
  CredentialInput,
  forceUnlock,
  ForceUnlockInput,
  NewCredentialInput,
  revokeCredential,
  rollBack,
  RollBackInput,
  rotateCredential,
  StackInput,
} from '#lib/state/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

export const add = operatorAction('operator:change', StackInput, async (by, input) => {
  await addStack(by, input);
  redirect(`/operator/state/${input.name}`);
});

export const unlock = operatorAction(
  'operator:change',
  ForceUnlockInput,
  async (by, input) => {
    await forceUnlock(by, input);
    revalidatePath(`/operator/state/${input.stack}`);
  },
  { fresh: true },
);

export const goBack = operatorAction(
  'operator:change',
  RollBackInput,
  async (by, input) => {
    const number = await rollBack(by, input);
    redirect(`/operator/state/${input.stack}?back=${number}`);
  },
  { fresh: true },
);

export const issue = operatorAction(
  'operator:change',
  NewCredentialInput,
  async (by, input) => {
    const made = await addCredential(by, input, new Date());
    revalidatePath(`/operator/state/${input.stack}`);
    return made;
  },
  { fresh: true },
);

export const rotate = operatorAction(
  'operator:change',
  CredentialInput,
  async (by, input) => {
    const made = await rotateCredential(by, input, new Date());
    revalidatePath(`/operator/state/${input.stack}`);
    return made;
  },
  { fresh: true },
);

export const revoke = operatorAction('operator:change', CredentialInput, async (by, input) => {
  await revokeCredential(by, input, new Date());
  revalidatePath(`/operator/state/${input.stack}`);
});
