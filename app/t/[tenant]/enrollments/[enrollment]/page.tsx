import type { Metadata } from 'next';
import Link from 'next/link';
import { careOf, type Care } from '#lib/doctor/index.ts';
import { enrollmentView, type EnrollmentView } from '#lib/enrollment/index.ts';
import { labelKey, workflowFile } from '#lib/model/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { LiveEnrollment } from '#components/enrollment/live-enrollment.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { CodeBlock, Mono } from '#components/ui/code.tsx';
import { Card, Facts, PageHeader, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, type Tone } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { planWithdrawal } from '../../enroll/actions.ts';

export const metadata: Metadata = { title: 'Enrollment' };

type Params = { tenant: string; enrollment: string };

export default page<Params>('enrollment:see', async (ctx, { params }) => {
  const enrollment = await enrollmentView(ctx, params.enrollment);
  const { slug } = ctx.tenant;
  const mayChange = may(ctx.role, 'enrollment:plan') && ['draft', 'active'].includes(enrollment.state);
  return (
    <>
      <PageHeader
        above={<Link href={`/t/${slug}/enrollments`}>Enrollments</Link>}
        title={enrollment.name}
        answer={`${enrollment.scope.path === '' ? enrollment.forgeName : enrollment.scope.path} on ${enrollment.forgeName}`}
        actions={
          mayChange ? (
            <LinkButton
              href={`/t/${slug}/enroll/${enrollment.id}/pools`}
              look={enrollment.state === 'draft' ? 'primary' : 'secondary'}
            >
              {enrollment.state === 'draft' ? 'Continue enrolling' : 'Change pools and caches'}
            </LinkButton>
          ) : null
        }
      />
      <LiveEnrollment url={`/api/views/enrollments/${slug}/${enrollment.id}`} first={enrollment} />
      {enrollment.state === 'draft' ? null : (
        <CareLinks care={await careOf(ctx, enrollment.id)} at={`/t/${slug}/enrollments/${enrollment.id}`} />
      )}
      {enrollment.state === 'active' ? (
        <>
          <Snippets enrollment={enrollment} />
          <Caches enrollment={enrollment} />
        </>
      ) : null}
      <History enrollment={enrollment} slug={slug} />
      <Withdrawal ctx={ctx} enrollment={enrollment} />
    </>
  );
});

const proofWords: Record<Care['standing'], { word: string; tone: Tone }> = {
  held: { word: 'Holds', tone: 'good' },
  broken: { word: 'Broken', tone: 'bad' },
  stale: { word: 'Not proven lately', tone: 'warn' },
  none: { word: 'Not proven yet', tone: 'idle' },
};

/** Whether something is wrong, and whether it is proven to work: each with its page. */
function CareLinks({ care, at }: { care: Care; at: string }) {
  const { findings, standing, lastHeldAt } = care;
  const more = findings.length > 1 ? ` and ${findings.length - 1} more` : '';
  return (
    <Section title="Doctor and proof">
      <Card>
        <Facts
          rows={[
            [
              <Link key="doctor" href={`${at}/doctor`} className="text-accent underline">
                Doctor
              </Link>,
              findings[0] === undefined ? (
                <Badge tone="good">Nothing found</Badge>
              ) : (
                <span className="flex flex-wrap items-center gap-2">
                  <Badge tone="bad">{findings.length === 1 ? '1 finding' : `${findings.length} findings`}</Badge>
                  <span className="min-w-0 break-words">{`${findings[0]}${more}`}</span>
                </span>
              ),
            ],
            [
              <Link key="proof" href={`${at}/proof`} className="text-accent underline">
                Proof
              </Link>,
              <span key="standing" className="flex flex-wrap items-center gap-2">
                <Badge tone={proofWords[standing].tone}>{proofWords[standing].word}</Badge>
                {lastHeldAt ? (
                  <span>
                    last held <RelativeTime at={lastHeldAt} />
                  </span>
                ) : null}
              </span>,
            ],
          ]}
        />
      </Card>
    </Section>
  );
}

function Snippets({ enrollment }: { enrollment: EnrollmentView }) {
  return (
    <Section
      title="In a workflow"
      note={`Change ${labelKey[enrollment.forgeKind]} in ${workflowFile[enrollment.forgeKind]}; nothing else in the repository has to change.`}
    >
      <div className="grid gap-4 lg:grid-cols-2">
        {enrollment.pools.map(({ pool, label, cpu, memory, snippet }) => (
          <CodeBlock key={label} text={snippet} label={`${pool}: ${cpu} CPU, ${memory}`} />
        ))}
      </div>
    </Section>
  );
}

function Caches({ enrollment }: { enrollment: EnrollmentView }) {
  const { attic, bazel } = enrollment.planes;
  if (!attic && !bazel) return null;
  return (
    <Section title="Caches">
      <Card>
        <Facts
          rows={[
            ...(attic
              ? ([
                  ['Attic view', <Mono key="view">{attic.view}</Mono>],
                  ['Readable by', attic.isPublic ? 'anybody' : 'holders of a token'],
                  ...(attic.url ? [['Address', <Mono key="url">{attic.url}</Mono>]] : []),
                  ...(attic.publicKey ? [['Public key', <Mono key="key">{attic.publicKey}</Mono>]] : []),
                  ...(attic.tokenExpiresAt
                    ? [['Runners’ token ends', <RelativeTime key="ends" at={attic.tokenExpiresAt} />]]
                    : []),
                ] as [string, React.ReactNode][])
              : []),
            ['Bazel cache', bazel ? 'on, in a namespace of its own' : 'off'],
          ]}
        />
      </Card>
    </Section>
  );
}

type Past = EnrollmentView['history'][number];

const kinds: Record<Past['kind'], string> = { enroll: 'Enroll', change: 'Change', withdraw: 'Withdraw' };
const states: Record<Past['state'], { word: string; tone: Tone }> = {
  open: { word: 'Not applied', tone: 'idle' },
  waiting: { word: 'Waits for an operator', tone: 'warn' },
  approved: { word: 'Applied', tone: 'good' },
  stale: { word: 'Overtaken', tone: 'warn' },
  discarded: { word: 'Set aside', tone: 'idle' },
};

function History({ enrollment, slug }: { enrollment: EnrollmentView; slug: string }) {
  if (enrollment.history.length === 0) return null;
  return (
    <Section title="Plans">
      <Table label="Plans">
        <thead>
          <tr>
            <Th>Plan</Th>
            <Th>State</Th>
            <Th>Made</Th>
            <Th>Decided</Th>
          </tr>
        </thead>
        <tbody>
          {enrollment.history.map(({ id, kind, state, createdAt, decidedAt }) => (
            <Tr key={id}>
              <Td>
                <Link href={`/t/${slug}/enroll/${enrollment.id}/plan?plan=${id}`} className="text-accent underline">
                  {kinds[kind]}
                </Link>
              </Td>
              <Td>
                <Badge tone={states[state].tone}>{states[state].word}</Badge>
              </Td>
              <Td>
                <RelativeTime at={createdAt} />
              </Td>
              <Td>{decidedAt ? <RelativeTime at={decidedAt} /> : '–'}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}

function Withdrawal({ ctx, enrollment }: { ctx: Ctx; enrollment: EnrollmentView }) {
  if (enrollment.state !== 'active' || !may(ctx.role, 'enrollment:withdraw')) return null;
  return (
    <Section title="Withdraw">
      <Card className="grid gap-3">
        <p className="max-w-prose text-ink-2">
          Runners are deregistered, credentials and namespaces removed, running jobs lost. What was used stays on the
          bill, and the audit is kept. You see the removal plan first; nothing is removed by looking at it.
        </p>
        <ButtonForm
          action={planWithdrawal.bind(null, ctx.tenant.slug)}
          fields={{ enrollmentId: enrollment.id }}
          look="secondary"
        >
          Show the removal plan
        </ButtonForm>
      </Card>
    </Section>
  );
}
