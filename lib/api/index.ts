/**
 * The REST API for people's programs, at /api/v1.
 *
 * It promises that a program reaches what its person reaches at that moment and its token's scopes allow, and nothing beside;
 * that what is served, described (OpenAPI) and tested is one table of operations; that an answer has the shape that is described
 * and no more; that a change under an idempotency key is done once; and that every refusal says in words what happened, whether
 * anything was changed and what to do. It may touch every room below it by the functions that the pages use. It holds no rule
 * of its own.
 */
export { answerApi, apiRoot, requestIdOf, type ApiAnswer, type ApiRequest } from './answer.ts';
export { openApiDocument } from './openapi.ts';
export { operations } from './table.ts';
