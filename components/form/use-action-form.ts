'use client';

import { startTransition, useActionState, useEffect, useRef, type FormEvent, type RefObject } from 'react';
import type { ActionResult, ActionState, ShownError } from '#lib/tenant/index.ts';

/** An action as the page hands it over: with the tenant already bound to it. */
export type FormAction<T = unknown> = (before: ActionState<unknown>, form: FormData) => Promise<ActionResult<T>>;

export type ActionForm<T = unknown> = {
  /** For the form element itself. */
  form: {
    ref: RefObject<HTMLFormElement | null>;
    action: (form: FormData) => void;
    onSubmit: (event: FormEvent<HTMLFormElement>) => void;
  };
  pending: boolean;
  /** What the server answered when it was done. */
  value: T | null;
  error: ShownError | null;
  /** Whether the last press succeeded. */
  isDone: boolean;
  /** The message at a field, once the server has refused it. */
  errorAt: (name: string) => string | undefined;
  /** What was typed before the refusal, else what the page began with. */
  valueOf: (name: string, first: string) => string;
};

/** A form over a server action: nothing typed is lost, and the first field at fault has the focus. */
export function useActionForm<T = unknown>(action: FormAction<T>): ActionForm<T> {
  const [state, submit, pending] = useActionState(action, null);
  const ref = useRef<HTMLFormElement>(null);
  const failed = state && !state.ok ? state : null;
  useEffect(() => {
    if (failed) focusFirstError(ref.current);
  }, [failed]);
  return {
    form: {
      ref,
      // Serves a browser without scripts. With them React would empty the form after each answer, so it is sent below.
      action: submit,
      onSubmit: (event) => {
        event.preventDefault();
        const { submitter } = event.nativeEvent as SubmitEvent;
        const data = new FormData(event.currentTarget, submitter);
        startTransition(() => submit(data));
      },
    },
    pending,
    value: state?.ok ? state.value : null,
    error: failed?.error ?? null,
    isDone: state?.ok === true,
    errorAt: (name) => failed?.error.fields?.[name],
    valueOf: (name, first) => (failed ? (failed.values[name] ?? '') : first),
  };
}

function focusFirstError(form: HTMLFormElement | null): void {
  const field = form?.querySelector<HTMLElement>('[aria-invalid="true"]');
  (field ?? form?.querySelector<HTMLElement>('[role="alert"]'))?.focus();
}
