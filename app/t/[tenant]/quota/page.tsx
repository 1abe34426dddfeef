import type { Metadata } from 'next';
import Link from 'next/link';
import { presentAllocation, poolsByName, type Allocation } from '#lib/enrollment/index.ts';
import {
  amountsOf,
  formatAmounts,
  leftOf,
  mayHaveParent,
  needsParent,
  quotaParts,
  quotaWords,
  tenantKindLabel,
  tenantKinds,
  type QuotaPart,
} from '#lib/model/index.ts';
import { family, moveChoices, type FamilyRow } from '#lib/tenancy/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { MoveForm } from '#components/tenant/move-form.tsx';
import { QuotaForm } from '#components/tenant/quota-form.tsx';
import { TenantStateBadge } from '#components/tenant/tenant-name.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { Meter } from '#components/ui/meter.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../../money.ts';
import { tenantTitle } from '../title.ts';
import { ask, move, setShare } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Quota', props.params);
}

export default page<Params>('quota:see', async (ctx) => {
  const allocation = await presentAllocation(ctx.tenant.id, await poolsByName());
  const seen = await family(ctx, may(ctx.role, 'billing:see'));
  return (
    <>
      <PageHeader
        title="Quota"
        answer={`${quotaWords(formatAmounts(allocation.left))} left of ${quotaWords(allocation.whole)}.`}
      />
      <Section
        title="What it is promised to"
        note="Promised is what pools take when each is at its maximum, so that a quota never makes a runner fail."
      >
        <Card className="grid gap-4 sm:grid-cols-2">
          {quotaParts.map((part) => (
            <Part key={part} part={part} allocation={allocation} hasBelow={seen.rows.length > 1} />
          ))}
        </Card>
      </Section>
      <Below ctx={ctx} rows={seen.rows} />
      {may(ctx.role, 'request:make') ? <Ask ctx={ctx} above={seen.above} /> : null}
    </>
  );
});

const names: Record<QuotaPart, string> = { cpu: 'CPU', memory: 'Memory', runners: 'Runners', storage: 'Storage' };

function Part({ part, allocation, hasBelow }: { part: QuotaPart; allocation: Allocation; hasBelow: boolean }) {
  const { whole, handedOn, promised } = allocation;
  const all = amountsOf(whole);
  const words = { own: formatAmounts(promised)[part], below: formatAmounts(handedOn)[part], all: String(whole[part]) };
  const taken = { ...promised, [part]: promised[part] + handedOn[part] };
  const note = hasBelow
    ? `${words.own} to its own pools, ${words.below} to tenants below it`
    : `${words.own} to its pools`;
  return (
    <Meter
      label={names[part]}
      used={Number(taken[part])}
      limit={Number(all[part])}
      text={`${formatAmounts(leftOf(all, taken))[part]} left of ${words.all}`}
      note={note}
    />
  );
}

function Below({ ctx, rows }: { ctx: Ctx; rows: FamilyRow[] }) {
  const { kind, slug } = ctx.tenant;
  const mayHold = tenantKinds.some((child) => mayHaveParent(child, kind));
  if (!mayHold) return null;
  const mayMakeTeam = mayHaveParent('team', kind) && may(ctx.role, 'settings:change');
  return (
    <Section
      title="All tenants together"
      note={kind === 'enterprise' ? 'One account pays for all of them.' : 'Its teams share this quota and this bill.'}
      actions={mayMakeTeam ? <LinkButton href={`/tenants/new?parent=${slug}`}>New team</LinkButton> : null}
    >
      <Table label="All tenants together">
        <thead>
          <tr>
            <Th>Tenant</Th>
            <Th>State</Th>
            <Th numeric>CPU left</Th>
            <Th numeric>Memory left</Th>
            <Th numeric>Runners now</Th>
            <Th numeric>Enrollments</Th>
            <Th numeric>This month</Th>
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => (
            <Tr key={row.slug}>
              <Td className="min-w-40 wrap-anywhere">
                <div className={['', 'pl-4', 'pl-8', 'pl-12'][row.depth] ?? 'pl-12'}>
                  <Link href={`/t/${row.slug}`} className="font-medium text-accent hover:underline">
                    {row.displayName}
                  </Link>{' '}
                  <span className="text-sm text-ink-3">{tenantKindLabel[row.kind]}</span>
                </div>
              </Td>
              <Td>
                <TenantStateBadge state={row.state} />
              </Td>
              <Td numeric>
                {row.left.cpu} of {row.quota.cpu}
              </Td>
              <Td numeric>
                {row.left.memory} of {row.quota.memory}
              </Td>
              <Td numeric>{row.runners}</Td>
              <Td numeric>{row.enrollments}</Td>
              <Td numeric>{row.cost === null ? '–' : money(row.cost, row.currency)}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
      {mayMakeTeam ? <Shares ctx={ctx} rows={rows} /> : null}
    </Section>
  );
}

function Shares({ ctx, rows }: { ctx: Ctx; rows: FamilyRow[] }) {
  const teams = rows.filter(({ kind, depth, state }) => kind === 'team' && depth === 1 && state !== 'left');
  return teams.map((team) => (
    <details key={team.slug} className="mt-3 rounded-lg border bg-surface p-4">
      <summary className="cursor-pointer">
        Change the share of {team.displayName}: {quotaWords(team.quota)}
      </summary>
      <div className="mt-4">
        <QuotaForm
          action={setShare.bind(null, ctx.tenant.slug)}
          first={team.quota}
          fields={{ team: team.slug }}
          button="Set the share"
        />
      </div>
    </details>
  ));
}

async function Ask({ ctx, above }: { ctx: Ctx; above: { slug: string; displayName: string } | null }) {
  const { kind, slug, quota } = ctx.tenant;
  const choices = await moveChoices(ctx);
  return (
    <>
      {kind === 'team' ? (
        <Section title="More or less">
          <p className="max-w-prose text-ink-2">
            A team’s quota is a share of its organization’s{above ? `, ${above.displayName}` : ''}: its admins set it.
          </p>
        </Section>
      ) : (
        <Section
          title="More or less"
          note="Less comes at once, and so does what every organization gets. More waits for an operator."
        >
          <Card>
            <QuotaForm action={ask.bind(null, slug)} first={quota} button="Ask for this quota" isAsked />
          </Card>
        </Section>
      )}
      {choices.length > 0 || above ? (
        <Section
          title="Where it belongs"
          note={above ? `It is below ${above.displayName}, which pays.` : 'It stands alone and pays for itself.'}
        >
          <Card>
            <MoveForm
              action={move.bind(null, slug)}
              choices={choices}
              now={above?.slug ?? null}
              mayStandAlone={!needsParent(kind)}
            />
          </Card>
        </Section>
      ) : null}
    </>
  );
}
