'use server';

import { revalidatePath } from 'next/cache';
import {
  AskProofInput,
  askForProof,
  BadgeInput,
  RepositoryInput,
  setBadge,
  setProofRepository,
} from '#lib/doctor/index.ts';
import { action, type Ctx } from '#lib/tenant/index.ts';

function shownAnew({ tenant }: Ctx, enrollmentId: string): void {
  revalidatePath(`/t/${tenant.slug}/enrollments/${enrollmentId}/proof`);
}

export const prove = action('enrollment:plan', AskProofInput, async (ctx, input) => {
  await askForProof(ctx, input);
  shownAnew(ctx, input.enrollmentId);
});

export const showBadge = action('settings:change', BadgeInput, async (ctx, input) => {
  await setBadge(ctx, input);
  shownAnew(ctx, input.enrollmentId);
});

export const setRepository = action('settings:change', RepositoryInput, async (ctx, input) => {
  await setProofRepository(ctx, input);
  shownAnew(ctx, input.enrollmentId);
});
