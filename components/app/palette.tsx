'use client';

import clsx from 'clsx';
import { useRouter } from 'next/navigation';
import { useEffect, useId, useRef, useState, type KeyboardEvent } from 'react';
import { inputClass } from '#components/ui/field.tsx';
import type { Place } from './palette-key.tsx';

type Props = { places: Place[]; close: () => void };

function matching(places: Place[], typed: string): Place[] {
  const wanted = typed.trim().toLowerCase();
  const seen = new Set<string>();
  return places.filter(({ href, label, note = '' }) => {
    if (seen.has(href) || !`${label} ${note}`.toLowerCase().includes(wanted)) return false;
    seen.add(href);
    return true;
  });
}

/** The browser's own modal dialog: it keeps the focus, closes on Escape and gives the focus back. */
export function Palette({ places, close }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const router = useRouter();
  const id = useId();
  const [typed, setTyped] = useState('');
  const [at, setAt] = useState(0);
  useEffect(() => dialog.current?.showModal(), []);
  const found = matching(places, typed);
  function go(place: Place | undefined) {
    if (!place) return;
    dialog.current?.close();
    router.push(place.href);
  }
  function press(event: KeyboardEvent) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step !== undefined && found.length > 0) {
      event.preventDefault();
      setAt((at + step + found.length) % found.length);
    }
    if (event.key === 'Enter') go(found[at]);
  }
  return (
    <dialog
      ref={dialog}
      onClose={close}
      aria-label="Go to"
      className="mx-auto mt-24 w-full max-w-lg rounded-lg bg-surface p-2 text-ink shadow-pop backdrop:bg-shade"
    >
      <input
        role="combobox"
        aria-expanded="true"
        aria-controls={`${id}-list`}
        aria-activedescendant={found[at] ? `${id}-${at}` : undefined}
        aria-label="Go to a page or tenant"
        placeholder="Go to a page or tenant"
        value={typed}
        onChange={(event) => {
          setTyped(event.target.value);
          setAt(0);
        }}
        onKeyDown={press}
        className={inputClass}
      />
      <div id={`${id}-list`} role="listbox" aria-label="Places" className="mt-2 max-h-80 overflow-y-auto">
        {found.map((place, index) => (
          <div
            key={place.href}
            id={`${id}-${index}`}
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            onPointerMove={() => setAt(index)}
            onClick={() => go(place)}
            onKeyDown={press}
            className={clsx('flex justify-between gap-4 rounded-md px-3 py-2', index === at && 'bg-accent-soft')}
          >
            {place.label}
            {place.note ? <span className="text-ink-3">{place.note}</span> : null}
          </div>
        ))}
      </div>
      {found.length === 0 ? <p className="px-3 py-2 text-ink-3">Nothing of that name.</p> : null}
    </dialog>
  );
}
