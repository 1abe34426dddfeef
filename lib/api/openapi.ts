import { z } from 'zod';
import { errorCodes, type ErrorCode } from '#lib/errors.ts';
import { apiScopes, apiScopeWords, besideOperator, scopeFor } from '#lib/tenant/index.ts';
import { tags, type Operation } from './operation.ts';
import { problemTitles } from './problem.ts';
import { Problem } from './shapes.ts';
import { operations } from './table.ts';

/* The description of the API, from the very table that answers it. OpenAPI 3.1 has JSON Schema 2020-12 within, as zod writes it. */

type Json = Record<string, unknown>;

function schemaOf(schema: z.ZodType, io: 'input' | 'output'): Json {
  const options = { io, unrepresentable: 'any', target: 'draft-2020-12', override: portable } as const;
  const { $schema: _, ...rest } = z.toJSONSchema(schema, options);
  return rest;
}

/** Classes of Unicode are written in another way in each language: what such a pattern refuses is said by the answer. */
function portable({ jsonSchema }: { jsonSchema: { pattern?: string } }): void {
  if (jsonSchema.pattern?.includes('\\p{')) delete jsonSchema.pattern;
}

const named: Record<string, string> = {
  tenant: 'The slug of a tenant.',
  enrollment: 'The id or the name of an enrollment.',
  plan: 'The id of a plan.',
  request: 'The id of a request.',
  token: 'The id of a token, never the token itself.',
  budget: 'The id of a budget.',
  view: 'The id of a cache view.',
  stack: 'The name of a stack.',
};

function pathParameters(path: string): Json[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: named[name],
    schema: { type: 'string', minLength: 1, maxLength: 200 },
  }));
}

function queryParameters({ query }: Operation): Json[] {
  if (!query) return [];
  const { properties = {}, required = [] } = schemaOf(query, 'input') as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }));
}

const header = (name: string, description: string, schema: Json = {}) => ({
  name,
  in: 'header',
  required: false,
  description,
  schema: { type: 'string', ...schema },
});

const keyHeader = header('Idempotency-Key', 'The same key for the same change is done once; remembered for a day.', {
  minLength: 1,
  maxLength: 200,
});
const tagHeader = header('If-None-Match', 'The ETag of the answer before: 304 where nothing has changed.');

/** What may go wrong anywhere, and what of a change beside. */
const always: ErrorCode[] = [
  'malformed',
  'invalid',
  'unauthenticated',
  'forbidden',
  'not_found',
  'rate_limited',
  'unavailable',
  'internal',
];
const ofChanges: ErrorCode[] = ['conflict', 'precondition_failed', 'too_large', 'unsupported_media_type'];

function responsesOf(operation: Operation): Json {
  const status = operation.status ?? (operation.answer ? 200 : 204);
  const codes = operation.method === 'GET' ? always : [...always, ...ofChanges];
  const good = operation.answer
    ? { description: 'Done.', content: { 'application/json': { schema: schemaOf(operation.answer, 'output') } } }
    : { description: 'Done; there is nothing to say.' };
  return {
    [status]: good,
    ...(operation.method === 'GET' ? { 304: { description: 'Nothing has changed.' } } : {}),
    ...Object.fromEntries(codes.map((code) => [errorCodes[code], { $ref: `#/components/responses/${code}` }])),
  };
}

function scopeWords({ permission, scope, method }: Operation): string {
  if (permission === 'operator:see' || permission === 'operator:change')
    return `the scopes \`operator\` and \`${scope ?? besideOperator(permission)}\``;
  return `the scope \`${scope ?? (permission === 'person' && method !== 'GET' ? 'write' : scopeFor(permission))}\``;
}

function described(operation: Operation): Json {
  const { id, tag, summary, description, path, method, body } = operation;
  const isRead = method === 'GET';
  const headers = isRead ? [tagHeader] : operation.changesNothing ? [] : [keyHeader];
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: [description, `Needs ${scopeWords(operation)}.`].filter(Boolean).join(' '),
    parameters: [...pathParameters(path), ...queryParameters(operation), ...headers],
    ...(body
      ? { requestBody: { required: true, content: { 'application/json': { schema: schemaOf(body, 'input') } } } }
      : {}),
    responses: responsesOf(operation),
  };
}

function problems(): Json {
  const content = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } };
  return Object.fromEntries(
    [...always, ...ofChanges].map((code) => [code, { description: problemTitles[code], content }]),
  );
}

export function openApiDocument(): Json {
  const paths = [...Map.groupBy(operations, ({ path }) => path)].map(([path, own]) => [
    path,
    Object.fromEntries(own.map((operation) => [operation.method.toLowerCase(), described(operation)])),
  ]);
  return {
    openapi: '3.1.0',
    info: {
      title: 'Flywheel enrollment portal',
      version: '1',
      description: [
        'Tenants, enrollments, approvals, pools, jobs, costs, caches, credentials and the audit, for programs. Show a token of yours as `Authorization: Bearer …`; it reaches what you reach, within its scopes:',
        ...apiScopes.map((scope) => `- \`${scope}\`: ${apiScopeWords[scope]}`),
        '',
        'Lists come in pages: `nextCursor`, and a `Link` to the next. Errors are `application/problem+json` (RFC 9457) and say whether anything was changed. A `GET` has an `ETag`; a change takes `If-Match` where its address can be read, and an `Idempotency-Key` anywhere. `RateLimit` says what is left of a minute’s requests.',
      ].join('\n'),
    },
    servers: [{ url: '/api/v1' }],
    security: [{ token: [] }],
    tags: tags.map((name) => ({ name })),
    paths: Object.fromEntries(paths),
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer' } },
      schemas: { Problem: schemaOf(Problem, 'output') },
      responses: problems(),
    },
  };
}
