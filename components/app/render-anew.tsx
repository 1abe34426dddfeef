'use client';

import { useRouter } from 'next/navigation';
import { useEffect } from 'react';

/** What the server rendered around a part that keeps itself up to date belongs to another state: it is asked for again. */
export function RenderAnew({ isOutdated }: { isOutdated: boolean }) {
  const router = useRouter();
  useEffect(() => {
    if (isOutdated) router.refresh();
  }, [isOutdated, router]);
  return null;
}
