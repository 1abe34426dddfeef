'use client';

import type { ReactNode } from 'react';
import { ChoiceCard } from '#components/ui/field.tsx';

type Props = {
  organization: string;
  /** What is to be done for either, shown where it is chosen. */
  own: ReactNode;
  shared: ReactNode;
};

/** Whose App registers the runners of an organization. Which of the two is shown is the style sheet's matter. */
export function AppChoice({ organization, own, shared }: Props) {
  return (
    <div className="group/app grid gap-6">
      <fieldset className="grid gap-3 sm:grid-cols-2">
        <legend className="sr-only">Whose App</legend>
        <ChoiceCard
          type="radio"
          name="app"
          value="own"
          defaultChecked
          title={`An App of ${organization}’s own (recommended)`}
        >
          GitHub makes it in one step and {organization} owns it. Its key, which the runner controller needs in the
          cluster, opens nothing but {organization}.
        </ChoiceCard>
        <ChoiceCard type="radio" name="app" value="shared" title="The shared App">
          Nothing to make. Its key serves every organization that chose it: somebody who got hold of it in the cluster
          could register runners for all of them.
        </ChoiceCard>
      </fieldset>
      <div className="hidden group-has-[[name=app][value=own]:checked]/app:block">{own}</div>
      <div className="hidden group-has-[[name=app][value=shared]:checked]/app:block">{shared}</div>
    </div>
  );
}
