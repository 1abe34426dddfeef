'use client';

import { useActionState, useEffect, useRef } from 'react';
import type { ActionResult, ActionState, ShownError } from '#lib/tenant/index.ts';

/** An action as the page hands it over: with the tenant already bound to it. */
export type FormAction = (before: ActionState<unknown>, form: FormData) => Promise<ActionResult<unknown>>;

export type ActionForm = {
  submit: (form: FormData) => void;
  formRef: React.RefObject<HTMLFormElement | null>;
  error: ShownError | null;
  /** The message at a field, once the server has refused it. */
  errorAt: (name: string) => string | undefined;
  /** What was typed before the refusal, else what the page began with. */
  valueOf: (name: string, first: string) => string;
  /** Changes with each answer, so that fields take up their values anew. */
  answers: string;
};

/** A form over a server action: nothing typed is lost, and the first field at fault has the focus. */
export function useActionForm(action: FormAction): ActionForm {
  const [state, submit] = useActionState(action, null);
  const formRef = useRef<HTMLFormElement>(null);
  const failed = state && !state.ok ? state : null;
  useEffect(() => {
    if (!failed) return;
    const first = formRef.current?.querySelector<HTMLElement>('[aria-invalid="true"], [role="alert"]');
    first?.focus();
  }, [failed]);
  return {
    submit,
    formRef,
    error: failed?.error ?? null,
    errorAt: (name) => failed?.error.fields?.[name],
    valueOf: (name, first) => (failed ? (failed.values[name] ?? '') : first),
    answers: failed?.error.requestId ?? 'first',
  };
}
