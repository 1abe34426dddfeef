import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Gitlab, ids, type NewAccessToken, startGitlab } from '#sandbox/gitlab/index.ts';
import type { AtScope, EnsuredRunner, Forge } from '../port.ts';
import { gitlabForge } from './index.ts';

let gitlab: Gitlab;
let runners: NonNullable<Forge['runners']>;

beforeEach(async () => {
  gitlab = await startGitlab({ port: 0 });
  const { clientId, clientSecret } = gitlab.application;
  const connection = { id: 'c', kind: 'gitlab' as const, baseUrl: gitlab.url, clientId, clientSecret };
  const made = gitlabForge({ ...connection, allowLoopback: true }).runners;
  if (!made) throw new Error('no runners');
  runners = made;
});
afterEach(() => gitlab.stop());

const runnerScopes: NewAccessToken['scopes'] = ['create_runner', 'manage_runner', 'read_api'];
const places = {
  project: { level: 'project', scopeId: String(ids.projects.kernels), path: 'tinyland/lab/kernels' },
  group: { level: 'group', scopeId: String(ids.groups.lab), path: 'tinyland/lab' },
  instance: { level: 'instance', scopeId: 'instance', path: '' },
} as const;
type Level = keyof typeof places;
const levels = Object.keys(places) as Level[];

/** By the token that the portal asks for at each level, and no more. */
function at(level: Level, change: Partial<NewAccessToken> = {}): AtScope {
  const holder = level === 'instance' ? { login: 'olive-operator' } : { path: places[level].path };
  const bot = level === 'project' ? { level: 40 as const } : {};
  const token = gitlab.accessToken({ scopes: runnerScopes, ...holder, ...bot, ...change });
  return { ...places[level], credential: { kind: 'token', token } };
}

const wanted = { name: 'flywheel-acme-nix', labels: ['acme-nix', 'acme-docker'], known: null };
const ofGitlab = () => Object.values(gitlab.state.runners);

async function works(secret: EnsuredRunner['secret'] | undefined): Promise<boolean> {
  const answer = await fetch(`${gitlab.apiUrl}/runners/verify`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token: secret?.token }),
  });
  return answer.status === 200;
}

describe.each(levels)('runners of a %s', (level) => {
  test('one is made as asked for, its secret works, and the next look changes nothing', async () => {
    const scope = at(level);
    const made = await runners.ensure({ ...scope, ...wanted });
    expect(made).toMatchObject({ change: 'created', runner: { name: wanted.name, status: 'never_contacted' } });
    expect(made.secret).toMatchObject({ token: expect.stringMatching(/^glrt-/), uuid: null, expiresAt: null });
    expect(await works(made.secret)).toBe(true);
    expect(ofGitlab()).toMatchObject([
      {
        type: `${level}_type`,
        description: wanted.name,
        tags: wanted.labels,
        runUntagged: false,
        locked: level === 'project',
        maintenanceNote: expect.stringContaining('Flywheel'),
      },
    ]);
    const again = await runners.ensure({ ...scope, ...wanted, known: made.runner.id });
    expect(again).toMatchObject({ change: null, secret: null, runner: { id: made.runner.id, status: 'online' } });
    expect(await works(made.secret)).toBe(true);
  });

  test('F15: a 201 that was lost is found by its name and given a new secret, never made twice', async () => {
    const scope = at(level);
    gitlab.fault({ kind: 'reset-after', match: { method: 'POST', path: 'user/runners' } });
    await expect(runners.ensure({ ...scope, ...wanted })).rejects.toMatchObject({ code: 'unavailable' });
    const lost = ofGitlab()[0]?.token;
    const found = await runners.ensure({ ...scope, ...wanted });
    expect(found.change).toBe('replaced');
    expect(ofGitlab()).toHaveLength(1);
    expect(await works(found.secret)).toBe(true);
    expect(found.secret?.token).not.toBe(lost);
  });

  test('labels and what else was changed by hand are mended; a pause stays', async () => {
    const scope = at(level);
    const made = await runners.ensure({ ...scope, ...wanted });
    const known = made.runner.id;
    Object.assign(gitlab.state.runners[known] ?? {}, { runUntagged: true, paused: true });
    const mended = await runners.ensure({ ...scope, ...wanted, labels: ['other'], known });
    expect(mended).toMatchObject({ change: 'updated', secret: null, runner: { id: known, status: 'paused' } });
    expect(gitlab.state.runners[known]).toMatchObject({ tags: ['other'], runUntagged: false, paused: true });
  });

  test('one that is held takes no job and says why; it is let go again, once each; a pause by hand stays', async () => {
    const scope = at(level);
    const { runner } = await runners.ensure({ ...scope, ...wanted });
    const hold = (isHeld: boolean) => runners.hold?.({ ...scope, id: runner.id, isHeld });
    const { maintenanceNote } = gitlab.state.runners[runner.id] ?? {};
    expect(await hold(false)).toEqual({ change: null });
    expect(await hold(true)).toEqual({ change: 'held' });
    expect(await hold(true)).toEqual({ change: null });
    expect(gitlab.state.runners[runner.id]).toMatchObject({
      paused: true,
      maintenanceNote: expect.stringContaining('Suspended by the operator'),
    });
    expect(await hold(false)).toEqual({ change: 'released' });
    expect(gitlab.state.runners[runner.id]).toMatchObject({ paused: false, maintenanceNote });
    Object.assign(gitlab.state.runners[runner.id] ?? {}, { paused: true });
    expect(await hold(false)).toEqual({ change: null });
    expect(gitlab.state.runners[runner.id]).toMatchObject({ paused: true });
  });

  test('one that was deleted is made again; removal is once', async () => {
    const scope = at(level);
    const first = await runners.ensure({ ...scope, ...wanted });
    delete gitlab.state.runners[first.runner.id];
    const second = await runners.ensure({ ...scope, ...wanted, known: first.runner.id });
    expect(second.change).toBe('created');
    expect(await runners.remove({ ...scope, id: second.runner.id })).toEqual({ change: 'removed' });
    expect(await runners.remove({ ...scope, id: second.runner.id })).toEqual({ change: null });
    expect(await runners.retire({ ...scope, id: second.runner.id })).toEqual({ change: null });
    expect(ofGitlab()).toEqual([]);
  });

  test('others’ runners are neither listed nor touched', async () => {
    const scope = at(level);
    const { runner } = await runners.ensure({ ...scope, ...wanted });
    const foreign = { ...(gitlab.state.runners[runner.id] ?? ofGitlab()[0]), id: 9999, description: 'somebody’s' };
    gitlab.state.runners['9999'] = foreign as (typeof gitlab.state.runners)[string];
    expect((await runners.list(scope)).map((each) => each.id)).toEqual([runner.id]);
    await expect(runners.remove({ ...scope, id: '9999' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(runners.retire({ ...scope, id: '9999' })).rejects.toMatchObject({ code: 'invalid' });
    await expect(runners.ensure({ ...scope, ...wanted, name: 'somebody’s' })).rejects.toMatchObject({
      code: 'invalid',
    });
    await expect(runners.ensure({ ...scope, ...wanted, name: 'flywheel-' })).rejects.toMatchObject({ code: 'invalid' });
    expect(ofGitlab()).toHaveLength(2);
  });
});

test('a runner of the group above, of the same name, is not the group’s own', async () => {
  const above = { level: 'group', scopeId: String(ids.groups.tinyland), path: 'tinyland' } as const;
  const token = gitlab.accessToken({ path: 'tinyland', scopes: runnerScopes });
  const upper: AtScope = { ...above, credential: { kind: 'token', token } };
  const first = await runners.ensure({ ...upper, ...wanted });
  // By the upper group's own token, which may do anything below it.
  const lower: AtScope = { ...places.group, credential: { kind: 'token', token } };
  expect(await runners.list(lower)).toEqual([]);
  const second = await runners.ensure({ ...lower, ...wanted });
  expect(second.change).toBe('created');
  expect(await works(first.secret)).toBe(true);
  await expect(runners.remove({ ...lower, id: first.runner.id })).rejects.toMatchObject({ code: 'invalid' });
  await expect(runners.retire({ ...lower, id: first.runner.id })).rejects.toMatchObject({ code: 'invalid' });
  const third = await runners.ensure({ ...lower, ...wanted, known: first.runner.id });
  expect(third.runner.id).toBe(second.runner.id);
});

test('of several that were made at once the oldest stays, and the others are told', async () => {
  const scope = at('group');
  const ensured = [1, 2, 3].map(() => runners.ensure({ ...scope, ...wanted }).catch((error: unknown) => error));
  const outcomes = await Promise.all(ensured);
  expect(ofGitlab()).toHaveLength(1);
  const [stays] = ofGitlab();
  expect(outcomes).toContainEqual(
    expect.objectContaining({ runner: expect.objectContaining({ id: String(stays?.id) }) }),
  );
  expect(outcomes.filter((each) => each instanceof Error)).toHaveLength(2);
  expect(outcomes).toContainEqual(expect.objectContaining({ code: 'conflict' }));
});

test('a group that is renamed keeps its runners, by its id', async () => {
  const scope = at('group');
  const { runner } = await runners.ensure({ ...scope, ...wanted });
  gitlab.rename('tinyland', 'tinyworld');
  expect(await runners.ensure({ ...scope, ...wanted, known: runner.id })).toMatchObject({ change: null });
  expect(await runners.list(scope)).toMatchObject([{ id: runner.id }]);
});

test('more than a page of others’ runners hides none of ours', async () => {
  const scope = at('group');
  const { runner } = await runners.ensure({ ...scope, ...wanted });
  const [template] = ofGitlab();
  for (let id = 300_000; id < 300_250; id += 1)
    gitlab.state.runners[id] = { ...template, id, description: `other-${id}` } as (typeof gitlab.state.runners)[string];
  expect((await runners.list(scope)).map((each) => each.id)).toEqual([runner.id]);
});

test('where registration is switched off, it is said so', async () => {
  const scope = at('group');
  const group = gitlab.state.groups[ids.groups.tinyland];
  if (group) group.runnerRegistration = false;
  await expect(runners.ensure({ ...scope, ...wanted })).rejects.toMatchObject({
    code: 'forbidden',
    screen: { todo: expect.stringContaining('registered') },
  });
});

test('without read_api, or with an ended token, nothing is made', async () => {
  const blind = at('group', { scopes: ['create_runner', 'manage_runner'] });
  await expect(runners.ensure({ ...blind, ...wanted })).rejects.toMatchObject({ code: 'forbidden' });
  const ended = at('group', { days: -1 });
  await expect(runners.ensure({ ...ended, ...wanted })).rejects.toMatchObject({ code: 'forbidden' });
  expect(ofGitlab()).toEqual([]);
});

test('a limit or an outage in the midst is said to be one, and the next look heals it', async () => {
  gitlab.fault({ kind: 'secondary-limit', match: { method: 'POST' }, retryAfterSeconds: 9 });
  await expect(runners.ensure({ ...at('project'), ...wanted })).rejects.toMatchObject({
    code: 'rate_limited',
    retryAfterMs: 9000,
  });
  const scope = at('project');
  gitlab.fault({ kind: 'status-after', match: { method: 'POST' }, status: 500 });
  await expect(runners.ensure({ ...scope, ...wanted })).rejects.toMatchObject({ code: 'unavailable' });
  // The second loss is of the new secret: the runner is there, and its token is nobody's.
  gitlab.fault({ kind: 'status-after', match: { path: 'reset_authentication_token' }, status: 502 });
  await expect(runners.ensure({ ...scope, ...wanted })).rejects.toMatchObject({ code: 'unavailable' });
  expect(await works((await runners.ensure({ ...scope, ...wanted })).secret)).toBe(true);
  expect(ofGitlab()).toHaveLength(1);
});
