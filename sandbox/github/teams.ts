import { z } from 'zod';
import { type Ask, Reply, type Routes } from '#sandbox/stand-in/index.ts';
import { identify, needOrg, notFound } from './access.ts';
import type { App, Installation, Org, Team, User } from './model.ts';
import { paged } from './paging.ts';
import * as render from './render.ts';
import type { Event, Webhooks } from './webhooks.ts';
import { same, type World } from './world.ts';

/**
 * Teams, and who belongs to what. There is no `GET /user/teams` here: GitHub keeps it from Apps, whose user tokens are the
 * only ones that people get by signing in.
 */
export function teamRoutes(api: Routes, world: World): void {
  api.on('GET', '/orgs/:org/teams', async (ask) => {
    const who = await identify(world, ask);
    const org = world.org(ask.params['org'] as string) ?? notFound();
    needOrg(world, who, org, 'members', 'read', 'member');
    return paged(world, ask, teamsIn(world, org), (team) => render.team(world, org, team));
  });
  api.on('GET', '/organizations/:org/team/:team/memberships/:username', async (ask) => {
    const who = await identify(world, ask);
    const org = world.state.orgs[ask.params['org'] as string] ?? notFound();
    needOrg(world, who, org, 'members', 'read', 'member');
    const team = world.state.teams[ask.params['team'] as string];
    const user = world.user(ask.params['username'] as string);
    const held = user && team?.members.find(({ userId }) => userId === user.id);
    if (!team || team.orgId !== org.id || !user || !held) return notFound();
    const role = world.role(org, user.id) === 'admin' ? 'maintainer' : held.role;
    return { status: 200, body: render.teamMembership(world, org, team, user, role) };
  });
}

function teamsIn(world: World, org: Org): Team[] {
  return Object.values(world.state.teams).filter(({ orgId }) => orgId === org.id);
}

// ------------------------------------------------------------------------------------------------ moved by hand

const TeamRole = z.object({ role: z.enum(['maintainer', 'member']).default('member') });
const OrgRole = z.object({ role: z.enum(['admin', 'member']), public: z.boolean().default(false) });

export function peopleControls(web: Routes, world: World, hooks: Webhooks): void {
  web.on('POST', '/_sandbox/orgs/:org/teams', (ask) => {
    const { name, slug } = z.object({ name: z.string().min(1), slug: z.string().optional() }).parse(ask.body ?? {});
    return { status: 200, body: addTeam(world, orgOf(world, ask), name, slug) };
  });
  web.on('DELETE', '/_sandbox/orgs/:org/teams/:team', (ask) => {
    const [org, team] = [orgOf(world, ask), teamOf(world, ask)];
    const told = event(world, org, 'team', 'deleted', { team: render.plainTeam(world, org, team) });
    delete world.state.teams[team.id];
    return done(world, hooks, told);
  });
  web.on('PUT', '/_sandbox/orgs/:org/teams/:team/members/:login', (ask) => {
    const [org, team, user] = [orgOf(world, ask), teamOf(world, ask), userOf(world, ask)];
    const { role } = TeamRole.parse(ask.body ?? {});
    const isNew = team.members.every(({ userId }) => userId !== user.id);
    team.members = [...team.members.filter(({ userId }) => userId !== user.id), { userId: user.id, role }];
    // Of another role within the team GitHub tells nobody.
    return done(world, hooks, isNew ? membershipEvent(world, org, team, user, 'added') : []);
  });
  web.on('DELETE', '/_sandbox/orgs/:org/teams/:team/members/:login', (ask) => {
    const [org, team, user] = [orgOf(world, ask), teamOf(world, ask), userOf(world, ask)];
    team.members = team.members.filter(({ userId }) => userId !== user.id);
    return done(world, hooks, membershipEvent(world, org, team, user, 'removed'));
  });
  web.on('PUT', '/_sandbox/orgs/:org/members/:login', (ask) => {
    const [org, user] = [orgOf(world, ask), userOf(world, ask)];
    const { role, public: isPublic } = OrgRole.parse(ask.body ?? {});
    const isNew = !world.role(org, user.id);
    org.members = [...org.members.filter((m) => m.userId !== user.id), { userId: user.id, role, public: isPublic }];
    return done(world, hooks, isNew ? organizationEvent(world, org, user, 'member_added') : []);
  });
  web.on('DELETE', '/_sandbox/orgs/:org/members/:login', (ask) => {
    const [org, user] = [orgOf(world, ask), userOf(world, ask)];
    const told = organizationEvent(world, org, user, 'member_removed');
    org.members = org.members.filter((m) => m.userId !== user.id);
    for (const team of teamsIn(world, org)) team.members = team.members.filter(({ userId }) => userId !== user.id);
    return done(world, hooks, told);
  });
}

export function addTeam(world: World, org: Org, name: string, slug = name.toLowerCase()): Team {
  const team: Team = { id: world.id(), orgId: org.id, name, slug, members: [] };
  world.state.teams[team.id] = team;
  world.save();
  return team;
}

function absent(what: string): never {
  throw new Reply({ status: 404, body: { message: `No such ${what}.` } });
}

function orgOf(world: World, ask: Ask): Org {
  return world.org(ask.params['org'] as string) ?? absent('organization');
}

function userOf(world: World, ask: Ask): User {
  return world.user(ask.params['login'] as string) ?? absent('user');
}

function teamOf(world: World, ask: Ask): Team {
  const slug = ask.params['team'] as string;
  return teamsIn(world, orgOf(world, ask)).find((team) => same(team.slug, slug)) ?? absent('team');
}

function done(world: World, hooks: Webhooks, events: Event[]) {
  world.save();
  for (const each of events) hooks.send(each);
  return { status: 204 };
}

// ------------------------------------------------------------------------------------------------ what is told of it

function membershipEvent(world: World, org: Org, team: Team, user: User, action: 'added' | 'removed'): Event[] {
  const member = render.simpleUser(world, user);
  return event(world, org, 'membership', action, { scope: 'team', member, team: render.plainTeam(world, org, team) });
}

function organizationEvent(world: World, org: Org, user: User, action: 'member_added' | 'member_removed'): Event[] {
  const { organization: _, ...membership } = render.membership(world, org, user);
  return event(world, org, 'organization', action, { membership });
}

/** To each App that is installed there and listens; GitHub tells an App nothing of members that may not read them. */
function event(world: World, org: Org, name: string, action: string, more: render.Json): Event[] {
  const hears = ({ accountId, events, permissions, suspendedAt }: Installation) =>
    accountId === org.id && events.includes(name) && permissions['members'] !== undefined && !suspendedAt;
  const sender = render.simpleUser(world, world.account(org.members.find((m) => m.role === 'admin')?.userId ?? org.id));
  return Object.values(world.state.installations)
    .filter(hears)
    .map((installation) => ({
      app: world.state.apps[installation.appId] as App,
      event: name,
      installationId: installation.id,
      repositoryId: null,
      payload: {
        action,
        ...more,
        organization: render.orgSimple(world, org),
        installation: render.installationLite(installation),
        sender,
      },
    }));
}
