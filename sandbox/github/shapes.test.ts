import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormatsModule from 'ajv-formats';
import { SignJWT } from 'jose';
import { expect, test } from 'vitest';
import { type Github, ids, type RestAnswer, startGithub } from './index.ts';

const require = createRequire(import.meta.url);
const addFormats = addFormatsModule.default;

interface Schema {
  [keyword: string]: unknown;
  $ref?: string;
  type?: string | string[];
  nullable?: boolean;
  enum?: unknown[];
  properties?: Record<string, Schema>;
  oneOf?: Schema[];
  anyOf?: Schema[];
  allOf?: Schema[];
}
interface Operation {
  responses: Record<string, { $ref?: string; content?: Record<string, { schema: Schema }> }>;
}
interface Description {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema>; responses: Record<string, Operation['responses'][string]> };
}

/** Routes that GitHub has and its description leaves out, and what they answer. */
const undescribed: Record<string, string | null> = {
  'GET /repositories/:id': 'GET /repos/:owner/:repo',
  'GET /organizations/:id': 'GET /orgs/:org',
  'GET /organizations/:org/team/:team/memberships/:username': 'GET /orgs/:org/teams/:team_slug/memberships/:username',
  // Spoken between runners and GitHub only; the Go client's test holds it.
  'POST /actions/runner-registration': null,
};

/** Routes whose description cannot be meant: this one asks each account to be a user and an enterprise at once. */
const corrected: Record<string, Schema> = {
  'GET /app/installations 200': { type: 'array', items: { $ref: '#/components/schemas/installation' } },
};

class GithubDescription {
  readonly #description: Description;
  readonly #ajv = new Ajv({ strict: false, allErrors: true });
  readonly #compiled = new Map<string, ValidateFunction>();

  constructor(file: string) {
    this.#description = JSON.parse(
      readFileSync(require.resolve(`@octokit/openapi/generated/${file}`), 'utf8'),
    ) as Description;
    addFormats(this.#ajv);
    const all = Object.entries(this.#description.components.schemas);
    const schemas = Object.fromEntries(all.map(([name, schema]) => [name, closed(schema)]));
    // Parts of an `allOf` name some of the properties each, so none of them may be closed by itself.
    const parts = Object.fromEntries(all.map(([name, schema]) => [name, closed(schema, true)]));
    this.#ajv.addSchema({ $id: 'github', components: { schemas, parts } });
  }

  /** What is wrong with this answer of this route; nothing when it is as described. */
  faults(route: string, status: number, body: unknown): string[] {
    const operation = this.#operation(route);
    if (!operation) return [`${route} is not described`];
    const described = operation.responses[String(status)];
    if (!described && status < 400) return [`${route} is not described to answer ${status}`];
    const response = described?.$ref
      ? this.#description.components.responses[described.$ref.split('/').at(-1) as string]
      : described;
    const schema =
      corrected[`${route} ${status}`] ??
      response?.content?.['application/json']?.schema ??
      (status >= 400 ? { $ref: '#/components/schemas/basic-error' } : undefined);
    if (!schema) return body === undefined ? [] : [`${route} ${status} is described to have no body`];
    const validate = this.#validator(`${route} ${status}`, schema);
    if (validate(body)) return [];
    return (validate.errors ?? []).map(
      (error) => `${route} ${status} ${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`,
    );
  }

  #operation(route: string): Operation | undefined {
    const [method = '', path = ''] = route.split(' ');
    const shape = path.replace(/:\w+/g, '{}');
    const found = Object.entries(this.#description.paths).find(
      ([template]) => template.replace(/\{[^}]*\}/g, '{}') === shape,
    );
    return found?.[1][method.toLowerCase()];
  }

  #validator(key: string, schema: Schema): ValidateFunction {
    const known = this.#compiled.get(key) ?? this.#ajv.compile(absolute(closed(schema)));
    this.#compiled.set(key, known);
    return known;
  }
}

/** OpenAPI 3.0 as JSON Schema, and closed: a property that is not described is a fault. */
function closed(schema: Schema, isPart = false): Schema {
  const { nullable, oneOf, anyOf, allOf, properties, discriminator: _, ...rest } = schema;
  const made: Schema = { ...rest };
  if (properties) {
    made.properties = Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, closed(child)]));
    const open =
      isPart ||
      rest['additionalProperties'] !== undefined ||
      oneOf !== undefined ||
      anyOf !== undefined ||
      allOf !== undefined;
    if (!open) made['additionalProperties'] = false;
  }
  for (const name of ['items', 'additionalProperties']) {
    const child = made[name];
    if (typeof child === 'object' && child !== null) made[name] = closed(child as Schema);
  }
  // Where GitHub says "one of" its own examples fit several.
  if (oneOf ?? anyOf) made.anyOf = (oneOf ?? anyOf ?? []).map((part) => closed(part));
  if (allOf)
    made.allOf = allOf.map((part) =>
      part.$ref ? { $ref: part.$ref.replace('/schemas/', '/parts/') } : closed(part, true),
    );
  return nullable ? orNull(made) : made;
}

function orNull(schema: Schema): Schema {
  if (typeof schema.type !== 'string') return { anyOf: [schema, { type: 'null' }] };
  return { ...schema, type: [schema.type, 'null'], ...(schema.enum ? { enum: [...schema.enum, null] } : {}) };
}

function absolute(schema: Schema): Schema {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"github#/components/')) as Schema;
}

test('every REST answer is as GitHub describes it, on every route', async () => {
  const description = new GithubDescription('ghes-3.19.json');
  const answers: RestAnswer[] = [];
  const github = await startGithub({ port: 0, onAnswer: (answer) => answers.push(answer) });
  const hook = createServer((request, response) =>
    request.resume().on('end', () => response.writeHead(202).end('thanks')),
  );
  await new Promise<void>((listening) => hook.listen(0, '127.0.0.1', listening));
  github.app.webhookUrl = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hooks`;
  try {
    await visitAll(github, answers);
  } finally {
    hook.close();
    await github.stop();
  }
  const faults = answers.flatMap(({ route, status, body }) => {
    if (route === null || undescribed[route] === null) return [];
    return description.faults(
      undescribed[route] ?? route,
      status,
      body === undefined ? undefined : JSON.parse(JSON.stringify(body)),
    );
  });
  expect([...new Set(faults)]).toEqual([]);
  const good = new Set(answers.filter((answer) => answer.status < 300).map((answer) => answer.route));
  expect(github.restRoutes.filter((route) => !good.has(route))).toEqual(['POST /actions/runner-registration']);
}, 60_000);

/** Calls every route once with success, and some with refusal. */
async function visitAll(github: Github, answers: RestAnswer[]): Promise<void> {
  const call = async (
    method: string,
    path: string,
    authorization?: string,
    body?: unknown,
  ): Promise<Record<string, unknown>> => {
    const headers = {
      ...(authorization ? { authorization } : {}),
      ...(body ? { 'content-type': 'application/json' } : {}),
    };
    await fetch(`${github.apiUrl}${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
    return (answers.at(-1)?.body ?? {}) as Record<string, unknown>;
  };
  const control = async (path: string, body: unknown): Promise<Record<string, unknown>> => {
    const response = await fetch(`${github.url}/_sandbox${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return response.status === 204 ? {} : ((await response.json()) as Record<string, unknown>);
  };
  const now = Math.floor(Date.now() / 1000);
  const jwt = await new SignJWT({})
    .setProtectedHeader({ alg: 'RS256' })
    .setIssuer(String(github.app.id))
    .setIssuedAt(now - 60)
    .setExpirationTime(now + 500)
    .sign(createPrivateKey(github.app.privateKeyPem));
  const app = `Bearer ${jwt}`;
  const [ada, sam, mallory] = ['ada-tinyland', 'sam-tinyland', 'mallory'].map(
    (login) => `Bearer ${github.userToken(login)}`,
  ) as [string, string, string];
  const minted = await call('POST', `/app/installations/${ids.installations.tinyland}/access_tokens`, app);
  const robot = `Bearer ${minted['token'] as string}`;
  await call('POST', `/app/installations/${ids.installations.tinyland}/access_tokens`, app, {
    repositories: ['lab'],
    permissions: { metadata: 'read' },
  });

  for (const path of [
    '/user',
    '/user/orgs',
    '/user/memberships/orgs',
    '/user/memberships/orgs/tinyland-inc',
    '/user/repos',
    '/user/installations',
    `/user/installations/${ids.installations.tinyland}/repositories`,
  ]) {
    for (const person of [ada, sam, mallory]) await call('GET', path, person);
    await call('GET', path);
  }
  const seenByAll = [
    '/orgs/tinyland-inc',
    `/organizations/${ids.orgs.tinyland}`,
    '/users/mallory',
    '/users/tinyland-inc',
    `/user/${ids.users.jess}`,
    '/orgs/tinyland-inc/repos',
    '/repos/tinyland-inc/site',
    `/repositories/${ids.repos.site}`,
    '/meta',
    '/rate_limit',
    '/apps/flywheel-sandbox',
  ];
  const inside = [
    '/orgs/tinyland-inc/memberships/sam-tinyland',
    '/orgs/tinyland-inc/members',
    '/orgs/tinyland-inc/teams',
    `/organizations/${ids.orgs.tinyland}/team/${ids.teams.compilers}/memberships/sam-tinyland`,
    '/repos/tinyland-inc/lab',
    '/repos/tinyland-inc/lab/collaborators/sam-tinyland/permission',
  ];
  for (const path of [...seenByAll, ...inside])
    for (const who of [ada, robot, mallory, undefined]) await call('GET', path, who);
  await call('GET', '/installation/repositories', robot);
  for (const path of [
    '/orgs/tinyland-inc/installation',
    '/users/tinyland-inc/installation',
    '/repos/tinyland-inc/lab/installation',
    '/app',
    '/app/installations',
    `/app/installations/${ids.installations.tinyland}`,
    '/app/hook/config',
  ])
    await call('GET', path, app);

  const scope = '/orgs/tinyland-inc/actions';
  const group = await call('POST', `${scope}/runner-groups`, robot, {
    name: 'g',
    visibility: 'selected',
    selected_repository_ids: [ids.repos.lab],
  });
  const path = `${scope}/runner-groups/${group['id'] as number}`;
  await call('PATCH', path, robot, { name: 'h' });
  await call('PUT', `${path}/repositories`, robot, { selected_repository_ids: [ids.repos.site] });
  await call('PUT', `${path}/repositories/${ids.repos.lab}`, robot);
  for (const sub of [`${scope}/runner-groups`, path, `${path}/repositories`, `${path}/runners`])
    await call('GET', sub, robot);
  await call('DELETE', `${path}/repositories/${ids.repos.lab}`, robot);
  await call('DELETE', path, robot);

  for (const [where, set] of [
    ['/orgs/tinyland-inc', 'o' + ids.orgs.tinyland],
    ['/repos/tinyland-inc/lab', 'r' + ids.repos.lab],
  ] as const) {
    await call('POST', `${where}/actions/runners/registration-token`, robot);
    const runner = {
      id: 500_000 + set.length,
      name: `r-${set}`,
      scaleSetId: 0,
      scope: set,
      runnerGroupId: 1,
      token: 't',
      online: true,
      jobId: null,
      createdAt: new Date().toISOString(),
    };
    github.state.runners[runner.id] = runner;
    await call('GET', `${where}/actions/runners`, robot);
    await call('GET', `${where}/actions/runners/${runner.id}`, robot);
    await call('DELETE', `${where}/actions/runners/${runner.id}`, robot);
    delete github.state.runners[runner.id];
  }
  await visitEnterprise(github, call);
  // Starting a workflow is a right that an owner gives beside the others.
  Object.assign(github.state.installations[ids.installations.tinyland]?.permissions ?? {}, { actions: 'write' });
  const starter = await call('POST', `/app/installations/${ids.installations.tinyland}/access_tokens`, app);
  await control('/repos/tinyland-inc/lab/workflows', { file: 'proof.yml' });
  const dispatch = { ref: 'main', inputs: { label: 'nix' } };
  for (const token of [robot, `Bearer ${starter['token'] as string}`])
    await call('POST', '/repos/tinyland-inc/lab/actions/workflows/proof.yml/dispatches', token, dispatch);
  const job = github.queueJob({ repository: 'tinyland-inc/lab', labels: ['nix'] });
  await call('GET', `/repos/tinyland-inc/lab/actions/jobs/${job.id}`, robot);
  await control(`/jobs/${job.id}/cancel`, {});
  await call('GET', `/repos/tinyland-inc/lab/actions/jobs/${job.id}`, robot);
  await github.settled();
  const deliveries = (await call('GET', '/app/hook/deliveries?per_page=1', app)) as unknown as { id: number }[];
  await call('GET', `/app/hook/deliveries/${deliveries[0]?.id}`, app);
  await call('POST', `/app/hook/deliveries/${deliveries[0]?.id}/attempts`, app);
  await call('PATCH', '/app/hook/config', app, { url: github.app.webhookUrl });

  const manifest = {
    name: 'Made By Manifest',
    url: 'https://example.com',
    redirect_url: 'http://127.0.0.1:1/back',
    default_permissions: { metadata: 'read' },
    default_events: ['workflow_job'],
  };
  const form = new URLSearchParams({ manifest: JSON.stringify(manifest), as: 'ada-tinyland', org: 'tinyland-inc' });
  const back = await fetch(`${github.url}/settings/apps/create`, { method: 'POST', redirect: 'manual', body: form });
  await call(
    'POST',
    `/app-manifests/${new URL(back.headers.get('location') ?? '').searchParams.get('code')}/conversions`,
  );
  await call('POST', '/app-manifests/absent/conversions');

  const basic = `Basic ${Buffer.from(`${github.app.clientId}:${github.app.clientSecret}`).toString('base64')}`;
  for (const what of ['token', 'grant'])
    await call('DELETE', `/applications/${github.app.clientId}/${what}`, basic, {
      access_token: github.userToken('JessSullivan'),
    });
  await call('PUT', `/app/installations/${ids.installations.jess}/suspended`, app);
  await call('GET', `/app/installations/${ids.installations.jess}`, app);
  await call('DELETE', `/app/installations/${ids.installations.jess}/suspended`, app);
  await call('DELETE', `/app/installations/${ids.installations.jess}`, app);
  await call('DELETE', '/installation/token', robot);
  await call('GET', '/nowhere', app);
}

type Call = (method: string, path: string, authorization?: string, body?: unknown) => Promise<Record<string, unknown>>;

/** By an owner's classic token, and refused to every other. */
async function visitEnterprise(github: Github, call: Call): Promise<void> {
  const scopes = ['manage_runners:enterprise', 'read:enterprise'];
  const token = (login: string, more: object = { scopes }) => `Bearer ${github.personalToken(login, more)}`;
  const olive = token('olive-operator');
  const where = '/enterprises/big-enterprise/actions';
  await call('POST', `${where}/runners/registration-token`, olive);
  const group = await call('POST', `${where}/runner-groups`, olive, { name: 'g', visibility: 'all' });
  const path = `${where}/runner-groups/${group['id'] as number}`;
  await call('PATCH', path, olive, { name: 'h' });
  await call('GET', path, olive);
  const others = [token('mallory'), token('olive-operator', { fineGrained: true }), undefined];
  for (const who of [olive, `Bearer ${github.userToken('olive-operator')}`, ...others])
    await call('GET', `${where}/runner-groups`, who);
  await call('DELETE', path, olive);
  const scope = `e${ids.enterprises.big}`;
  const runner = { id: 600_000, name: 'r-e', scaleSetId: 0, scope, runnerGroupId: 1, token: 't', online: true };
  github.state.runners[runner.id] = { ...runner, jobId: null, createdAt: new Date().toISOString() };
  await call('GET', `${where}/runners`, olive);
  await call('GET', `${where}/runners/${runner.id}`, olive);
  await call('DELETE', `${where}/runners/${runner.id}`, olive);
}

/** A runner that came from nowhere asks for its job, as the program on a machine does. */
async function runnerTakesJob(github: Github, repositoryId: number): Promise<void> {
  const scope = `r${repositoryId}`;
  const createdOn = new Date().toISOString();
  github.state.scaleSets[7] = {
    id: 7,
    scope,
    name: 'nix',
    runnerGroupId: 1,
    labels: [],
    disableUpdate: true,
    createdOn,
    events: [],
    messages: [],
    lastMessageId: 0,
    maxCapacity: 1,
  };
  github.state.runners[8] = {
    id: 8,
    name: 'r',
    scaleSetId: 7,
    scope,
    runnerGroupId: 1,
    token: 'jit',
    online: false,
    jobId: null,
    createdAt: createdOn,
  };
  const headers = { authorization: 'Bearer jit' };
  const answer = await fetch(`${github.url}/_services/actions/${scope}/_sandbox/runners/8/job`, {
    method: 'POST',
    headers,
  });
  expect(answer.status).toBe(200);
}

test('every webhook is as GitHub describes it', async () => {
  const ajv = new Ajv({ strict: false, allErrors: true });
  addFormats(ajv);
  const schemas = JSON.parse(readFileSync(require.resolve('@octokit/webhooks-schemas/schema.json'), 'utf8')) as {
    definitions: Record<string, Schema>;
  };
  ajv.addFormat('uri-template', true);
  ajv.addSchema({ $id: 'webhooks', definitions: schemas.definitions });
  const got: { event: string; payload: { action: string } }[] = [];
  const hook = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      got.push({
        event: String(request.headers['x-github-event']),
        payload: JSON.parse(Buffer.concat(chunks).toString()) as { action: string },
      });
      response.writeHead(202).end();
    });
  });
  await new Promise<void>((listening) => hook.listen(0, '127.0.0.1', listening));
  const github = await startGithub({
    port: 0,
    webhookUrl: `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`,
  });
  const control = (path: string, body: unknown = {}, method = 'POST'): Promise<Response> =>
    fetch(`${github.url}/_sandbox${path}`, {
      method,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  try {
    const id = ids.installations.tinyland;
    await control('/installations', { account: 'mallory-labs' });
    await control(`/installations/${ids.installations.jess}/repositories`, {
      selection: 'selected',
      repositories: ['JessSullivan/dotfiles'],
    });
    await control(`/installations/${id}/suspend`);
    await control(`/installations/${id}/unsuspend`);
    await control(`/installations/${id}/permissions`, { permissions: { ...github.app.permissions, contents: 'read' } });
    for (const repository of ['tinyland-inc/lab', 'mallory-labs/toolbox']) {
      const job = github.queueJob({ repository, labels: ['nix'] });
      await github.settled();
      const stored = github.state.jobs[job.id];
      if (!stored) throw new Error('the job has gone');
      Object.assign(stored, { phase: 'assigned', scaleSetId: 7 });
      await runnerTakesJob(github, stored.repositoryId);
      await control(`/jobs/${job.id}/cancel`);
    }
    const inOrg = '/orgs/tinyland-inc';
    await control(`${inOrg}/members/mallory`, { role: 'member' }, 'PUT');
    await control(`${inOrg}/teams/compilers/members/mallory`, { role: 'member' }, 'PUT');
    await control(`${inOrg}/teams/compilers/members/mallory`, {}, 'DELETE');
    await control(`${inOrg}/members/mallory`, {}, 'DELETE');
    await control(`${inOrg}/teams/compilers`, {}, 'DELETE');
    await github.settled();
    await control('/repos/JessSullivan/dotfiles/transfer', { owner: 'mallory-labs' });
    github.app.events.push('installation_target');
    await control('/orgs/tinyland-inc/rename', { login: 'bigland' });
    await control(`/installations/${id}/uninstall`);
    await github.settled();
  } finally {
    hook.close();
    await github.stop();
  }
  const faults = got.flatMap(({ event, payload }) => {
    const validate = ajv.getSchema(`webhooks#/definitions/${event}$${payload.action}`);
    if (!validate) return [`${event}.${payload.action} is not described`];
    return validate(payload)
      ? []
      : (validate.errors ?? []).map(
          (error) =>
            `${event}.${payload.action} ${error.instancePath} ${error.message} ${JSON.stringify(error.params)}`,
        );
  });
  expect(faults).toEqual([]);
  expect([...new Set(got.map(({ event, payload }) => `${event}.${payload.action}`))].toSorted()).toEqual([
    'installation.created',
    'installation.deleted',
    'installation.new_permissions_accepted',
    'installation.suspend',
    'installation.unsuspend',
    'installation_repositories.added',
    'installation_repositories.removed',
    'installation_target.renamed',
    'membership.added',
    'membership.removed',
    'organization.member_added',
    'organization.member_removed',
    'organization.renamed',
    'repository.transferred',
    'team.deleted',
    'workflow_job.completed',
    'workflow_job.in_progress',
    'workflow_job.queued',
  ]);
}, 30_000);
