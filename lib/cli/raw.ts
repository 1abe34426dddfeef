import { readFileSync } from 'node:fs';
import { command } from './command.ts';
import { urlOption } from './login.ts';
import { accessOf, jsonOf, Portal, problemOf, type Method } from './portal.ts';
import { exitCodes, UsageError } from './terminal.ts';

const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const satisfies readonly Method[];

/** What has no command of its own. */
export const api = command(
  {
    name: 'api',
    args: ['METHOD', 'PATH'],
    choices: methods,
    says: 'asks the REST API for anything',
    details:
      'PATH is below /api/v1, such as /tenants/acme/budgets; /api/v1/openapi.json of the portal describes what there is. A change takes its body, as JSON, by -f.',
    options: {
      url: urlOption,
      file: { type: 'string', short: 'f', value: 'FILE', says: 'the body; "-" reads standard input' },
      key: { type: 'string', value: 'KEY', says: 'an Idempotency-Key; a new one otherwise' },
    },
  },
  async ({ terminal, values, args: [method = '', given = ''] }) => {
    const text =
      values.file === undefined
        ? undefined
        : values.file === '-'
          ? await terminal.readIn()
          : readFileSync(values.file, 'utf8');
    const body = text === undefined ? undefined : jsonOf(text);
    if (text !== undefined && body === undefined) throw new UsageError('api: the body is no JSON.');
    const path = given.replace(/^\/?(?:api\/v1)?\/?/, '/');
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    const key = values.key === undefined ? {} : { key: values.key };
    const answer = await portal.raw({ method: method as Method, path, body, ...key });
    if (answer.status > 299) throw problemOf(answer, portal.url, method !== 'GET');
    const value = jsonOf(answer.text);
    if (answer.text !== '') terminal.out(value === undefined ? answer.text : `${JSON.stringify(value, null, 2)}\n`);
    return exitCodes.done;
  },
);
