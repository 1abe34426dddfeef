import type { Metadata } from 'next';
import Image from 'next/image';
import Link from 'next/link';
import { proofWorkflow, proofView, type ProofView } from '#lib/doctor/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { LiveProof } from '#components/doctor/live-proof.tsx';
import { RepositoryForm } from '#components/doctor/repository-form.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { CodeBlock } from '#components/ui/code.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { prove, setRepository, showBadge } from './actions.ts';

export const metadata: Metadata = { title: 'Proof' };

type Params = { tenant: string; enrollment: string };

export default page<Params>('enrollment:see', async (ctx, { params }) => {
  const { slug } = ctx.tenant;
  const view = await proofView(ctx, params.enrollment);
  const { id, name, state } = view.enrollment;
  return (
    <>
      <PageHeader
        above={<Link href={`/t/${slug}/enrollments/${id}`}>{name}</Link>}
        title="Proof"
        answer="Does it hold what was promised, and when did it last?"
        actions={
          state === 'active' && may(ctx.role, 'enrollment:plan') ? (
            <ButtonForm action={prove.bind(null, slug)} fields={{ enrollmentId: id }}>
              Prove it now
            </ButtonForm>
          ) : null
        }
      />
      <LiveProof key={view.runs[0]?.id} url={`/api/views/proof/${slug}/${id}`} first={view} />
      <Badge ctx={ctx} view={view} />
      <Workflow ctx={ctx} view={view} />
    </>
  );
});

function Badge({ ctx, view }: { ctx: Ctx; view: ProofView }) {
  const { address } = view;
  const { id } = view.enrollment;
  const mayChange = may(ctx.role, 'settings:change');
  const turn = showBadge.bind(null, ctx.tenant.slug);
  if (address === null)
    return (
      <Section
        title="Badge"
        note="A picture for a README, and the same as JSON. Whoever has its address reads whether the proof holds and when it last did, and nothing else: no name, no label, no repository."
      >
        {mayChange ? (
          <ButtonForm action={turn} fields={{ enrollmentId: id, on: 'yes' }} look="secondary">
            Make a badge
          </ButtonForm>
        ) : (
          <p className="text-ink-2">There is none. An admin can make one.</p>
        )}
      </Section>
    );
  return (
    <Section title="Badge" note="Whoever has this address reads whether the proof holds, and nothing else.">
      <div className="grid gap-4">
        <Image
          src={`${new URL(address).pathname}/badge.svg`}
          alt="The badge as it is now"
          width={300}
          height={20}
          unoptimized
          className="h-5 w-auto justify-self-start"
        />
        <CodeBlock text={`![proof](${address}/badge.svg)`} label="In a README" />
        <CodeBlock text={address} label="As JSON, for programs" />
        {mayChange ? (
          <div className="flex flex-wrap gap-2">
            <ButtonForm action={turn} fields={{ enrollmentId: id, on: 'yes' }} look="secondary">
              Give it another address
            </ButtonForm>
            <ButtonForm action={turn} fields={{ enrollmentId: id, on: 'no' }} look="secondary">
              Take it away
            </ButtonForm>
          </div>
        ) : null}
      </div>
    </Section>
  );
}

const workflow = `name: flywheel-proof
on:
  workflow_dispatch:
    inputs:
      label: { required: true, type: string }
jobs:
  proof:
    runs-on: \${{ inputs.label }}
    timeout-minutes: 5
    steps:
      - run: echo "reached by $RUNNER_NAME"
`;

function Workflow({ ctx, view }: { ctx: Ctx; view: ProofView }) {
  const { id, level } = view.enrollment;
  const isOne = level === 'repository' || level === 'project';
  return (
    <Section
      title="A real job"
      note={`Where this file is in ${isOne ? 'the repository' : 'the repository named below'} and the App may start workflows (actions: write), each proof starts it and waits for its job. Everywhere else the proof says what it looked at instead.`}
    >
      <div className="grid gap-4">
        {isOne || !may(ctx.role, 'settings:change') ? null : (
          <Card>
            <RepositoryForm
              action={setRepository.bind(null, ctx.tenant.slug)}
              enrollmentId={id}
              repository={view.repository ?? ''}
            />
          </Card>
        )}
        <CodeBlock text={workflow} label={`.github/workflows/${proofWorkflow}`} />
      </div>
    </Section>
  );
}
