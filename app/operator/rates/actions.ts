'use server';

import { revalidatePath } from 'next/cache';
import {
  addRate,
  AgreementInput,
  IdleRuleInput,
  RateId,
  RateInput,
  setAgreement,
  setIdleRule,
  withdrawRate,
} from '#lib/billing/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

const path = '/operator/rates';

export const enter = operatorAction('operator:change', RateInput, async (by, input) => {
  await addRate(by, input, new Date());
  revalidatePath(path);
});

export const takeBack = operatorAction('operator:change', RateId, async (by, input) => {
  await withdrawRate(by, input, new Date());
  revalidatePath(path);
});

export const agree = operatorAction('operator:change', AgreementInput, async (by, input) => {
  await setAgreement(by, input, new Date());
  revalidatePath(path);
});

export const setRule = operatorAction('operator:change', IdleRuleInput, async (by, input) => {
  await setIdleRule(by, input, new Date());
  revalidatePath(path);
});
