import type { Metadata } from 'next';
import { LinkButton } from '#components/ui/button.tsx';
import { Mark } from '#components/ui/mark.tsx';

export const metadata: Metadata = { title: 'Not found' };

export default function NotFound() {
  return (
    <main id="main" className="mx-auto grid min-h-dvh max-w-md content-center justify-items-start gap-4 p-6">
      <Mark size={32} />
      <h1 className="text-2xl font-semibold">This page does not exist, or you may not see it.</h1>
      <p className="text-ink-2">
        Nothing was changed. Check the address, or sign in as somebody who may see it. If you lost a role on the forge,
        you lost it here too.
      </p>
      <div className="flex gap-2">
        <LinkButton href="/home" look="primary">
          Go to your tenants
        </LinkButton>
        <LinkButton href="/sign-in">Sign in</LinkButton>
      </div>
    </main>
  );
}
