'use client';

import { useRouter } from 'next/navigation';
import { useEffect } from 'react';

/** With the 45 s after which a role is looked at again, an open page is gone within a minute of it. */
const everyMs = 10_000;

/**
 * Takes a page away whose reader may no longer see it, or may see less: it is rendered anew, which shows what is left. A tab that
 * nobody looks at asks nothing until somebody does.
 */
export function AccessWatch({ tenant, role }: { tenant: string; role: string }) {
  const router = useRouter();
  useEffect(() => {
    let isUnderWay = false;
    async function look() {
      if (isUnderWay || document.visibilityState === 'hidden') return;
      isUnderWay = true;
      const held = await heldRole(tenant);
      isUnderWay = false;
      if (held !== 'unknown' && held !== role) router.refresh();
    }
    const timer = setInterval(() => void look(), everyMs);
    const onSight = () => void look();
    document.addEventListener('visibilitychange', onSight);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', onSight);
    };
  }, [tenant, role, router]);
  return null;
}

/** Unknown while the portal itself cannot be asked: the page then stays, and says so where it is refreshed. */
async function heldRole(tenant: string): Promise<string> {
  try {
    const answer = await fetch(`/api/views/access/${tenant}`, { headers: { accept: 'application/json' } });
    if (answer.status === 404 || answer.status === 401) return 'none';
    return answer.ok ? ((await answer.json()) as { role: string }).role : 'unknown';
  } catch {
    return 'unknown';
  }
}
