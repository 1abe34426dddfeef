'use client';

import type { DoctorView, FindingView, OfferView, RepairView } from '#lib/doctor/index.ts';
import { Polled } from '#components/app/polled.tsx';
import { RenderAnew } from '#components/app/render-anew.tsx';
import { ButtonForm } from '#components/form/button-form.tsx';
import type { FormAction } from '#components/form/use-action-form.ts';
import { MeaningLink } from '#components/guide/meaning-link.tsx';
import { Card, Section } from '#components/ui/layout.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout, StatusIcon } from '#components/ui/status.tsx';
import { GoneTable, RepairTable } from './past-tables.tsx';

type Actions = { propose: FormAction; apply: FormAction };
type Props = Actions & { url: string; first: DoctorView };

const movingMs = 1_500;
const settledMs = 5_000;

const underWay = (state: RepairView['state']) => state === 'approved' || state === 'applied';

function everyMs({ repairs, findings }: DoctorView): number {
  return findings.length > 0 || repairs.some(({ state }) => underWay(state)) ? movingMs : settledMs;
}

/** What is wrong now, the plan that is open, and what was. */
export function LiveDoctor({ url, first, propose, apply }: Props) {
  return (
    <Polled url={url} first={first} everyMs={everyMs}>
      {(view) => (
        <>
          <RenderAnew isOutdated={foundIn(view) !== foundIn(first)} />
          <Now view={view} propose={propose} apply={apply} />
        </>
      )}
    </Polled>
  );
}

/** Those for which an image can be entered, which the server renders. */
const foundIn = ({ findings }: DoctorView) =>
  findings
    .filter(({ offers }) => offers.some(({ image, mayApply }) => image !== null && mayApply))
    .map(({ id }) => id)
    .join();

function Now({ view, propose, apply }: Actions & { view: DoctorView }) {
  const { findings, gone, repairs, lookedAt } = view;
  const plans = repairs.filter(({ state }) => state === 'open');
  const past = repairs.filter(({ state }) => state !== 'open');
  return (
    <>
      <div className="mb-6">
        <Answer findings={findings} lookedAt={lookedAt} />
      </div>
      {plans.map((plan) => (
        <Plan key={plan.id} plan={plan} apply={apply} />
      ))}
      {findings.length > 0 ? (
        <Section title="What was found">
          <ol className="grid gap-4">
            {findings.map((finding) => (
              <li key={finding.id}>
                <Finding finding={finding} propose={propose} />
              </li>
            ))}
          </ol>
        </Section>
      ) : null}
      {past.length > 0 ? (
        <Section title="Repairs">
          <RepairTable repairs={past} />
        </Section>
      ) : null}
      {gone.length > 0 ? (
        <Section title="What was, and is gone">
          <GoneTable gone={gone} />
        </Section>
      ) : null}
    </>
  );
}

function Answer({ findings, lookedAt }: Pick<DoctorView, 'findings' | 'lookedAt'>) {
  const bad = findings.filter(({ severity }) => severity === 'bad').length;
  const title =
    findings.length === 0
      ? 'Nothing is found that keeps jobs from running.'
      : `${findings.length} ${findings.length === 1 ? 'thing is' : 'things are'} not as they should be.`;
  return (
    <Callout tone={findings.length === 0 ? 'good' : bad > 0 ? 'bad' : 'warn'} title={title} role="status">
      {lookedAt === null ? (
        'The worker has not looked yet.'
      ) : (
        <>
          Looked at <RelativeTime at={lookedAt} />; whatever the cluster or the forge tells of is looked at within
          seconds.
        </>
      )}
    </Callout>
  );
}

function Finding({ finding, propose }: { finding: FindingView; propose: FormAction }) {
  const { id, kind, severity, title, words, evidence, offers, firstSeenAt } = finding;
  return (
    <Card className="grid gap-3">
      <div className="flex items-start gap-3">
        <span className="mt-1">
          <StatusIcon tone={severity} size={18} />
        </span>
        <div className="min-w-0">
          <h3 className="font-semibold break-words">{title}</h3>
          <p className="text-sm text-ink-3">
            since <RelativeTime at={firstSeenAt} />
          </p>
        </div>
      </div>
      <p className="max-w-prose break-words text-ink-2">
        {words} <MeaningLink word={kind} of={title} />
      </p>
      <ul aria-label="What was seen" className="grid gap-2 border-l-2 pl-3 text-sm">
        {evidence.map(({ object, at, said }) => (
          <li key={`${object} ${said}`}>
            <span className="font-mono break-all">{object}</span>
            {at ? (
              <span className="text-ink-3">
                {' '}
                <RelativeTime at={at} />
              </span>
            ) : null}
            <span className="block break-words text-ink-2">{said}</span>
          </li>
        ))}
      </ul>
      {offers.map((offer) => (
        <Offer key={offer.kind} findingId={id} offer={offer} propose={propose} />
      ))}
    </Card>
  );
}

function Offer({ findingId, offer, propose }: { findingId: string; offer: OfferView; propose: FormAction }) {
  const { kind, label, says, mayApply, image } = offer;
  if (!mayApply)
    return (
      <p className="text-sm text-ink-3">
        <span className="font-medium text-ink-2">{label}:</span> somebody with more rights may do this. {says}
      </p>
    );
  // What is typed stands outside of what is refreshed.
  if (image !== null)
    return (
      <p className="max-w-prose text-sm text-ink-3">
        <a href="#image" className="font-medium text-accent underline">
          {label}
        </a>
        : {says}
      </p>
    );
  return (
    <div className="grid gap-1">
      <ButtonForm action={propose} fields={{ findingId, kind }} look="secondary">
        {label}: show the plan
      </ButtonForm>
      <p className="max-w-prose text-sm text-ink-3">{says}</p>
    </div>
  );
}

const places: Record<RepairView['changes'][number]['where'], string> = {
  cluster: 'In the cluster',
  catalog: 'In the catalog of pools',
  forge: 'At the forge',
  portal: 'In the portal',
};
const ops = { '+': 'added', '~': 'changed', '-': 'removed' } as const;

function Plan({ plan, apply }: { plan: RepairView; apply: FormAction }) {
  const { id, label, says, finding, changes, dryRun } = plan;
  return (
    <Section title={`Plan: ${label}`} note={`For: ${finding}. ${says}`}>
      <Card className="grid gap-4">
        <ul aria-label="Changes" className="grid gap-2">
          {changes.map(({ where, op, what, from, to }) => (
            <li key={`${op} ${what}`} className="flex gap-3">
              <span aria-hidden className="w-3 shrink-0 font-mono font-semibold text-ink-3">
                {op}
              </span>
              <span className="min-w-0">
                <span className="sr-only">{ops[op]}: </span>
                <span className="font-mono text-sm break-all">{what}</span>
                {from !== undefined || to !== undefined ? (
                  <span className="block text-sm break-all text-ink-2">
                    {from === undefined ? '' : `${from} → `}
                    {to}
                  </span>
                ) : null}
                <span className="block text-sm text-ink-3">{places[where]}</span>
              </span>
            </li>
          ))}
        </ul>
        <p className="text-sm text-ink-3">
          {dryRun
            ? 'The cluster has tried these changes without making them, and takes them. Nothing was changed yet.'
            : 'Nothing was changed yet.'}
        </p>
        <ButtonForm action={apply} fields={{ repairId: id }}>
          Apply this repair
        </ButtonForm>
      </Card>
    </Section>
  );
}
