import { z } from 'zod';
import { listTeamsOf } from '#lib/enrollment/index.ts';
import { unsafeDb, unsafeTransaction } from '#lib/db/index.ts';
import { AppError, invalidFields, notFound } from '#lib/errors.ts';
import { appendAudit, tenantCtx, type Ctx } from '#lib/tenant/index.ts';

/* Which team of the forge a tenant of kind team follows: its maintainers are admins here, and its members see. */

export type FollowedTeam = { connectionId: string; id: string; name: string };
/** `value` names a choice in a form: connection and team. */
export type TeamChoices = { now: string | null; choices: { value: string; label: string }[]; trouble: string | null };

const scopesMost = 10;

/** The teams of the organizations that the tenant above has enrolled, as this person is shown them at the forge. */
async function teamsAbove(ctx: Ctx): Promise<FollowedTeam[]> {
  const above = await unsafeDb().tenant.findFirst({ where: { children: { some: { id: ctx.tenant.id } } } });
  if (!above) return [];
  const rows = await unsafeDb().enrollment.findMany({
    where: { tenantId: above.id, state: 'active', level: { in: ['organization', 'group'] } },
    select: { connectionId: true, path: true },
    take: scopesMost,
  });
  const lists = await Promise.all(
    rows.map(async ({ connectionId, path }) =>
      (await listTeamsOf(ctx, connectionId, path)).map(({ id, path: name }) => ({ connectionId, id, name })),
    ),
  );
  return lists.flat();
}

const valueOf = ({ connectionId, id }: Pick<FollowedTeam, 'connectionId' | 'id'>): string => `${connectionId} ${id}`;

/** What the settings of a team show. A forge that does not answer leaves what is followed as it is, and says so. */
export async function teamChoices(ctx: Ctx): Promise<TeamChoices | null> {
  if (ctx.tenant.kind !== 'team') return null;
  const row = await unsafeDb().tenant.findUniqueOrThrow({ where: { id: ctx.tenant.id } });
  const { teamConnectionId: connectionId, teamExternalId: id, teamName } = row;
  const followed = connectionId && id ? { connectionId, id, name: teamName ?? id } : null;
  const asked = await teamsAbove(ctx).then(
    (teams) => ({ teams, trouble: null }),
    (error: unknown) => {
      if (!(error instanceof AppError)) throw error;
      return { teams: [], trouble: error.screen.happened };
    },
  );
  const isListed = asked.teams.some((team) => followed && valueOf(team) === valueOf(followed));
  const teams = followed && !isListed ? [followed, ...asked.teams] : asked.teams;
  return {
    now: followed && valueOf(followed),
    choices: teams.map((team) => ({ value: valueOf(team), label: team.name })),
    trouble: asked.trouble,
  };
}

export const FollowTeamInput = z.strictObject({ team: z.string().max(300) });

/**
 * Follows a team, or none. It decides who gets in, so it is for admins of the tenant above, and only a team that the forge
 * shows them there.
 */
export async function followTeam(ctx: Ctx, { team }: z.infer<typeof FollowTeamInput>): Promise<void> {
  const row = await unsafeDb().tenant.findUniqueOrThrow({
    where: { id: ctx.tenant.id },
    include: { parent: { select: { slug: true } } },
  });
  if (row.kind !== 'team' || !row.parent) throw notFound('This team');
  const above = await tenantCtx(ctx, row.parent.slug);
  if (above?.role !== 'admin' && above?.role !== 'operator')
    throw new AppError('forbidden', {
      log: 'not an admin of the tenant above',
      screen: {
        happened: 'Only an admin of the organization chooses whom its team follows.',
        todo: 'Ask one of them.',
      },
    });
  const chosen = team === '' ? null : (await teamsAbove(ctx)).find((each) => valueOf(each) === team);
  if (chosen === undefined) throw invalidFields({ team: 'is no team that the forge shows you there' });
  await unsafeTransaction(async (tx) => {
    const data = {
      teamConnectionId: chosen?.connectionId ?? null,
      teamExternalId: chosen?.id ?? null,
      teamName: chosen?.name ?? null,
    };
    await tx.tenant.update({ where: { id: row.id }, data });
    await appendAudit(tx, ctx, row.id, {
      action: 'tenant:follow-team',
      target: `tenant/${row.slug}`,
      before: { team: row.teamName },
      after: { team: data.teamName },
    });
  });
}
