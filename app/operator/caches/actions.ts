'use server';

import { revalidatePath } from 'next/cache';
import {
  BazelWayInput,
  changeBazelWay,
  changeCacheServer,
  ChangeCacheServerInput,
  checkCacheServer,
  CheckServerInput,
} from '#lib/caching/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

export const check = operatorAction('operator:change', CheckServerInput, async (by, input) => {
  await checkCacheServer(by, input);
  revalidatePath('/operator/caches');
});

export const change = operatorAction(
  'operator:change',
  ChangeCacheServerInput,
  async (by, input) => {
    await changeCacheServer(by, input);
    revalidatePath('/operator/caches');
  },
  { fresh: true },
);

export const changeWay = operatorAction('operator:change', BazelWayInput, async (by, input) => {
  await changeBazelWay(by, input);
  revalidatePath('/operator', 'layout');
});
