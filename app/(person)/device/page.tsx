import type { Metadata } from 'next';
import { personPage } from '#lib/tenant/index.ts';
import { DeviceForm } from '#components/app/device-form.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { Callout } from '#components/ui/status.tsx';
import { find } from './actions.ts';

export const metadata: Metadata = { title: 'Sign in a terminal' };

/** It takes no code from its address: who sends somebody a link with one would be who asked for it. */
export default personPage(({ person }) => (
  <>
    <PageHeader
      title="Sign in a terminal"
      answer={
        <>
          <code className="text-base">flywheel login</code> shows a code. Type it here to let that terminal act for you.
        </>
      }
    />
    <div className="grid max-w-2xl gap-6">
      <Callout tone="warn" title="Type a code that your own terminal shows you, and no other.">
        Whoever made the code acts as {person.name} once it is approved. If somebody sent you a code, or a link to this
        page, close it: nobody who helps you needs this.
      </Callout>
      <DeviceForm action={find} />
    </div>
  </>
));
