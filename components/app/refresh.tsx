'use client';

import { useRouter } from 'next/navigation';
import { useEffect } from 'react';

/** Reads the page anew while something moves by itself. */
export function Refresh({ everyMs }: { everyMs: number }) {
  const router = useRouter();
  useEffect(() => {
    const timer = setInterval(() => router.refresh(), everyMs);
    return () => clearInterval(timer);
  }, [router, everyMs]);
  return null;
}
