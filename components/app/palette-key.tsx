'use client';

import dynamic from 'next/dynamic';
import { useEffect, useState } from 'react';

export type Place = { href: string; label: string; note?: string };

/** Loaded at the first press, so that a page is no heavier for it. */
const Palette = dynamic(() => import('./palette.tsx').then((module) => module.Palette), { ssr: false });

/** Ctrl or Cmd with K: go anywhere by typing. */
export function PaletteKey({ places }: { places: Place[] }) {
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    const press = (event: KeyboardEvent) => {
      if (event.key.toLowerCase() !== 'k' || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      setOpen(true);
    };
    document.addEventListener('keydown', press);
    return () => document.removeEventListener('keydown', press);
  }, []);
  return isOpen ? <Palette places={places} close={() => setOpen(false)} /> : null;
}
