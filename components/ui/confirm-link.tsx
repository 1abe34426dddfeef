'use client';

import { usePathname, useSearchParams } from 'next/navigation';
import { useEffect, type MouseEvent } from 'react';
import { buttonClass } from './button.tsx';

const place = 'confirm-kept';

type Kept = { path: string; form: Record<string, string>; fields: Record<string, string> };

/** Through the forge's sign-in and back to this very page. What the form holds is kept in this tab alone, but for secrets. */
export function ConfirmLink() {
  const [path, query] = [usePathname(), useSearchParams().toString()];
  const here = query === '' ? path : `${path}?${query}`;
  function keep(event: MouseEvent<HTMLElement>) {
    const form = event.currentTarget.closest('form');
    if (form) sessionStorage.setItem(place, JSON.stringify({ path: here, ...valuesOf(form) } satisfies Kept));
  }
  return (
    <p className="mt-3">
      {/* A plain link: the way leads out of the portal, and prefetching it would be for nothing. */}
      <a href={`/confirm?next=${encodeURIComponent(here)}`} onClick={keep} className={buttonClass('primary', true)}>
        Confirm it is you
      </a>
    </p>
  );
}

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement;

function controlsOf(form: HTMLFormElement): Control[] {
  return [...form.querySelectorAll<Control>('input, select, textarea')].filter(
    ({ name }) => name && !name.startsWith('$'),
  );
}

function isHidden(control: Control): boolean {
  return control.type === 'hidden';
}

/** A private key is a textarea, a token a password: neither is kept anywhere. */
function isKept(control: Control): boolean {
  return (
    !isHidden(control) && control.tagName !== 'TEXTAREA' && !['password', 'checkbox', 'radio'].includes(control.type)
  );
}

function valuesOf(form: HTMLFormElement): Pick<Kept, 'form' | 'fields'> {
  const values = (wanted: (control: Control) => boolean) =>
    Object.fromEntries(
      controlsOf(form)
        .filter(wanted)
        .map(({ name, value }) => [name, value]),
    );
  return { form: values(isHidden), fields: values(isKept) };
}

/** Puts back what a form held when its person left to confirm. Once, into the form that it was. */
export function KeptFields() {
  const [path, query] = [usePathname(), useSearchParams().toString()];
  const here = query === '' ? path : `${path}?${query}`;
  useEffect(() => {
    const kept = read();
    if (kept?.path !== here) return;
    sessionStorage.removeItem(place);
    const form = [...document.querySelectorAll('form')].find((each) => isSame(each, kept));
    if (form) restore(form, kept.fields);
  }, [here]);
  return null;
}

function read(): Kept | null {
  try {
    return JSON.parse(sessionStorage.getItem(place) ?? 'null') as Kept | null;
  } catch {
    return null;
  }
}

function isSame(form: HTMLFormElement, kept: Kept): boolean {
  const { form: hidden, fields } = valuesOf(form);
  const names = (values: object) => Object.keys(values).toSorted().join();
  return names(fields) === names(kept.fields) && JSON.stringify(hidden) === JSON.stringify(kept.form);
}

/** As typed, so that what React keeps of a field follows. */
function restore(form: HTMLFormElement, fields: Record<string, string>): void {
  form.closest('details')?.setAttribute('open', '');
  for (const control of controlsOf(form)) {
    const value = fields[control.name];
    if (value === undefined || !isKept(control)) continue;
    const prototype = control instanceof HTMLSelectElement ? HTMLSelectElement.prototype : HTMLInputElement.prototype;
    Object.getOwnPropertyDescriptor(prototype, 'value')?.set?.call(control, value);
    control.dispatchEvent(new Event(control instanceof HTMLSelectElement ? 'change' : 'input', { bubbles: true }));
  }
}
