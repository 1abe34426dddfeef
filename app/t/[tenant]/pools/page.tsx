import type { Metadata } from 'next';
import { catalog, foundSets, poolsNow, sharingOf } from '#lib/enrollment/index.ts';
import { labelOf, sharingWords } from '#lib/model/index.ts';
import { may, page, type Ctx } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import { LivePools } from '#components/pool/live-pools.tsx';
import { Shares } from '#components/pool/shares.tsx';
import { SharingForm } from '#components/pool/sharing-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader, Section } from '#components/ui/layout.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { money } from '../../../money.ts';
import { sharingChoice } from '../../../sharing-words.ts';
import { tenantTitle } from '../title.ts';
import { adopt, choose } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Pools', props.params);
}

export default page<Params>('pool:see', async (ctx, { searchParams }) => {
  const now = await poolsNow(ctx);
  return (
    <>
      <PageHeader title="Pools" answer="Is there a runner for a job, and how near is the quota?" />
      <LivePools url={`/api/views/pools/${ctx.tenant.slug}`} first={now} slug={ctx.tenant.slug} />
      <Sharing ctx={ctx} />
      <Catalog ctx={ctx} />
      {may(ctx.role, 'cluster:see') ? <Found ctx={ctx} looks={searchParams['look'] === 'sets'} /> : null}
    </>
  );
});

async function Sharing({ ctx }: { ctx: Ctx }) {
  const { sharing, accounts, shares } = await sharingOf(ctx);
  return (
    <Section title="Shared or dedicated" id="sharing" note={sharingWords[sharing]}>
      <Shares slug={ctx.tenant.slug} sharing={sharing} accounts={accounts} shares={shares} />
      {may(ctx.role, 'settings:change') ? (
        <details className="mt-4">
          <summary className="cursor-pointer text-sm">Change it</summary>
          <div className="mt-3">
            <SharingForm action={choose.bind(null, ctx.tenant.slug)} present={sharing} {...sharingChoice} />
          </div>
        </details>
      ) : null}
    </Section>
  );
}

/** Only who asks for it makes the portal look: pages that many have open cost the API server nothing. */
async function Found({ ctx, looks }: { ctx: Ctx; looks: boolean }) {
  const { slug } = ctx.tenant;
  const note =
    'Runner scale sets that somebody made by hand or with Helm in the tenant’s namespace, and how to keep them.';
  if (!looks)
    return (
      <Section title="Made elsewhere" id="found" note={note}>
        <LinkButton href={`/t/${slug}/pools?look=sets#found`}>Look in the cluster</LinkButton>
      </Section>
    );
  const { isAway, sets } = await foundSets(ctx);
  return (
    <Section title="Made elsewhere" id="found" note={note}>
      {isAway ? <Callout tone="wait" title="The cluster does not answer. Nothing is known of such sets now." /> : null}
      {!isAway && sets.length === 0 ? (
        <EmptyState title="None is there">Every runner set in the tenant’s namespace is the portal’s.</EmptyState>
      ) : null}
      {sets.length > 0 ? <FoundSets slug={slug} sets={sets} mayPlan={may(ctx.role, 'enrollment:plan')} /> : null}
    </Section>
  );
}

type FoundProps = { slug: string; sets: Awaited<ReturnType<typeof foundSets>>['sets']; mayPlan: boolean };

function FoundSets({ slug, sets, mayPlan }: FoundProps) {
  return (
    <Table label="Runner sets made elsewhere">
      <thead>
        <tr>
          <Th>Set</Th>
          <Th>Made</Th>
          <Th>Serves</Th>
          <Th numeric>Warm to most</Th>
          <Th>Becomes</Th>
        </tr>
      </thead>
      <tbody>
        {sets.map(({ uid, name, maker, configUrl, image, minRunners, maxRunners, becomes }) => (
          <Tr key={uid}>
            <Td className="font-mono text-sm">
              {name} <span className="block break-all text-ink-3">{image}</span>
            </Td>
            <Td>{maker}</Td>
            <Td className="font-mono text-sm break-all">{configUrl}</Td>
            <Td numeric>
              {minRunners} to {maxRunners ?? 'any'}
            </Td>
            <Td>
              {'refusal' in becomes ? (
                becomes.refusal
              ) : (
                <div className="grid gap-2">
                  <span>
                    {becomes.pool} of {becomes.enrollment}
                  </span>
                  {mayPlan ? (
                    <ButtonForm action={adopt.bind(null, slug)} fields={{ uid }} look="secondary" small>
                      Plan to take it over
                    </ButtonForm>
                  ) : null}
                </div>
              )}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

async function Catalog({ ctx }: { ctx: Ctx }) {
  const pools = await catalog(ctx.tenant.id);
  return (
    <Section title="Catalog" note="Pools that an enrollment may choose from, as the operator defined them.">
      <Table label="Catalog">
        <thead>
          <tr>
            <Th>Pool</Th>
            <Th>For</Th>
            <Th>Label</Th>
            <Th numeric>CPU</Th>
            <Th numeric>Memory</Th>
            <Th numeric>Per runner-hour</Th>
          </tr>
        </thead>
        <tbody>
          {pools.map(({ name, description, cpu, memory, pricePerRunnerHour, currency }) => (
            <Tr key={name}>
              <Td className="font-medium">{name}</Td>
              <Td className="text-ink-2">{description}</Td>
              <Td className="font-mono text-sm">{labelOf(ctx.tenant, name)}</Td>
              <Td numeric>{cpu ?? <Badge tone="idle">Not set</Badge>}</Td>
              <Td numeric>{memory ?? <Badge tone="idle">Not set</Badge>}</Td>
              <Td numeric>{pricePerRunnerHour ? money(pricePerRunnerHour, currency ?? 'USD') : '–'}</Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
