import type { Metadata } from 'next';
import Link from 'next/link';
import { quotaWords, tenantKindLabel } from '#lib/model/index.ts';
import { approvalView, type ApprovalView } from '#lib/tenancy/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { Count, PlanChanges } from '#components/enrollment/plan-changes.tsx';
import { WordsForm } from '#components/form/words-form.tsx';
import { GrantForm } from '#components/tenant/grant-form.tsx';
import { RequestState } from '#components/tenant/request-state.tsx';
import { RequestSteps } from '#components/tenant/request-steps.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { Badge } from '#components/ui/status.tsx';
import { money } from '../../../money.ts';
import { requestTitle, wantedWords } from '../../../request-words.ts';
import { grant, question, refuse } from '../actions.ts';

export const metadata: Metadata = { title: 'Approval · Operator' };

type Params = { request: string };

export default operatorPage<Params>('operator:see', async (by, { params }) => {
  const view = await approvalView(by, params.request);
  const { request, tenant } = view;
  return (
    <div className="grid items-start gap-6 lg:grid-cols-[minmax(0,1fr)_20rem]">
      <div className="min-w-0">
        <PageHeader
          above={<Link href="/operator/approvals">Approvals</Link>}
          title={`${requestTitle(request.kind)}: ${tenant.displayName}`}
          answer={`${wantedWords(request)}.`}
          actions={<RequestState state={request.state} />}
        />
        <Standing view={view} />
        <Section title="What was said">
          <RequestSteps messages={request.messages} />
        </Section>
        {view.plan ? <Plan plan={view.plan} /> : null}
      </div>
      {request.state === 'open' ? <Decision view={view} /> : null}
    </div>
  );
});

function Standing({ view }: { view: ApprovalView }) {
  const { request, tenant, cluster, left, cost } = view;
  const { fits } = cluster;
  return (
    <Section title="Does it fit, and what does it cost?">
      <Card>
        <Facts
          rows={[
            [
              'Tenant',
              <Link key="tenant" href={`/t/${tenant.slug}`} className="text-accent underline">
                {tenantKindLabel[tenant.kind]}, {tenant.state}
              </Link>,
            ],
            ...(request.kind === 'tenant'
              ? []
              : ([
                  ['Its quota', quotaWords(tenant.quota)],
                  ['Left of it', quotaWords(left)],
                ] as [string, string][])),
            [
              `Cluster ${cluster.id}`,
              cluster.capacity
                ? `${cluster.capacity.cpu} CPU, ${cluster.capacity.memory} memory`
                : 'what it holds is not known: enter it on the cluster’s page',
            ],
            ['Given there', `${cluster.given.cpu} CPU, ${cluster.given.memory} memory`],
            ['Promised to pools', `${cluster.promised.cpu} CPU, ${cluster.promised.memory} memory`],
            ['Used now', `${cluster.used.cpu} CPU, ${cluster.used.memory} memory`],
            [
              'Fits',
              <Badge key="fits" tone={fits === null ? 'idle' : fits ? 'good' : 'bad'}>
                {fits === null ? 'Not known' : fits ? 'Yes' : 'No'}
              </Badge>,
            ],
            [
              'Cost a month',
              cost
                ? `${money(String(cost.least), cost.currency)} to ${money(String(cost.most), cost.currency)}`
                : 'no rate is known',
            ],
          ]}
        />
      </Card>
    </Section>
  );
}

function Plan({ plan }: { plan: NonNullable<ApprovalView['plan']> }) {
  return (
    <Section
      title="The plan"
      actions={
        <span className="flex gap-4">
          <Count op="+" count={plan.counts.added} />
          <Count op="~" count={plan.counts.changed} />
          <Count op="-" count={plan.counts.removed} />
        </span>
      }
    >
      <PlanChanges groups={plan.groups} />
    </Section>
  );
}

function Decision({ view }: { view: ApprovalView }) {
  const { request, plan, cluster } = view;
  const fields = { requestId: request.id };
  return (
    <div className="grid gap-4 lg:sticky lg:top-6">
      <Card>
        <GrantForm
          action={grant}
          requestId={request.id}
          quota={request.wanted.quota ?? null}
          pools={plan?.pools ?? null}
          fits={cluster.fits}
          places={view.places}
          place={cluster.id}
        />
      </Card>
      <details className="rounded-lg border bg-surface p-4">
        <summary className="cursor-pointer font-medium">Ask back</summary>
        <div className="mt-3">
          <WordsForm action={question} fields={fields} label="Your question" button="Ask back" />
        </div>
      </details>
      <details className="rounded-lg border bg-surface p-4">
        <summary className="cursor-pointer font-medium">Refuse</summary>
        <div className="mt-3">
          <WordsForm action={refuse} fields={fields} label="The reason" button="Refuse" look="danger" />
        </div>
      </details>
    </div>
  );
}
