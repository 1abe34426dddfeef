'use client';

import { useEffect, useState, type ReactNode } from 'react';

export type PolledProps<T> = {
  url: string;
  /** What the server rendered: the page is whole before the first poll. */
  first: T;
  /** When to look again, or false where nothing more can change. */
  everyMs: (value: T) => number | false;
  /** The tag of what is there, where the server holds its answer until there is something else. */
  since?: (value: T) => string;
  children: (value: T) => ReactNode;
};

type Room = typeof import('./polled-reading.tsx');

/** A part of a page that keeps itself up to date, and says since when it could not. What asks again is loaded after it. */
export function Polled<T>(props: PolledProps<T>) {
  const [room, setRoom] = useState<Room | null>(null);
  useEffect(() => {
    let isGone = false;
    const load = async () => {
      // Away for now: the page stands as it was rendered, and a reload brings it.
      const loaded = await import('./polled-reading.tsx').catch(() => null);
      if (!isGone) setRoom(loaded);
    };
    void load();
    return () => {
      isGone = true;
    };
  }, []);
  return room ? <room.PolledReading {...props} /> : props.children(props.first);
}
