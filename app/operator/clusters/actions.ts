'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { CapacityInput, setCapacity, setClusterState, StateInput } from '#lib/fleet/index.ts';
import {
  AbandonInput,
  abandonCluster,
  applyMove,
  callOffMove,
  ClusterMoveInput,
  discardMove,
  MoveIdInput,
  planMove,
} from '#lib/tenancy/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

export const enterCapacity = operatorAction('operator:change', CapacityInput, async (by, input) => {
  await setCapacity(by, input);
  revalidatePath('/operator', 'layout');
});

export const setState = operatorAction('operator:change', StateInput, async (by, input) => {
  await setClusterState(by, input);
  revalidatePath('/operator', 'layout');
});

export const planAway = operatorAction('operator:change', ClusterMoveInput, async (by, input) => {
  redirect(`/operator/clusters/moves/${await planMove(by, input)}`);
});

export const applyAway = operatorAction(
  'operator:change',
  MoveIdInput,
  async (by, input) => {
    await applyMove(by, input);
    revalidatePath('/operator', 'layout');
  },
  { fresh: true },
);

export const callOff = operatorAction('operator:change', MoveIdInput, async (by, input) => {
  await callOffMove(by, input);
  revalidatePath('/operator', 'layout');
});

export const discardAway = operatorAction('operator:change', MoveIdInput, async (by, input) => {
  await discardMove(by, input);
  revalidatePath('/operator', 'layout');
  redirect('/operator/clusters');
});

export const abandon = operatorAction(
  'operator:change',
  AbandonInput,
  async (by, input) => {
    await abandonCluster(by, input);
    revalidatePath('/operator', 'layout');
  },
  { fresh: true },
);
