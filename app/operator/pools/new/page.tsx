import type { Metadata } from 'next';
import { operatorPage } from '#lib/tenant/index.ts';
import { PoolForm } from '#components/pool/pool-form.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { keepPool } from '../actions.ts';
import { classChoices } from '../classes.ts';

export const metadata: Metadata = { title: 'Add a pool' };

export default operatorPage('operator:change', async () => (
  <>
    <PageHeader
      title="Add a pool"
      answer="It can be chosen as soon as it has what it needs. No enrollment has it yet."
    />
    <PoolForm action={keepPool} pool={null} classes={classChoices} />
  </>
));
