import { z } from 'zod';
import { AppError } from '../errors.ts';
import { command, wholeNumber } from './command.ts';
import { deviceToken, machineName } from './device.ts';
import { portalUrl, Portal, problemOf, warnOfPlain } from './portal.ts';
import { forgetPortal, keepPortal, readStore, storePath } from './store.ts';
import { exitCodes, printable, UsageError, type Terminal } from './terminal.ts';

const Me = z.object({ name: z.string(), token: z.object({ name: z.string(), expiresAt: z.string() }) });

/** An option of every command that asks the portal. */
export const urlOption = {
  type: 'string',
  value: 'URL',
  says: 'the portal; the one signed in to last otherwise',
} as const;

const scopes = ['read', 'write', 'apply', 'credentials', 'operator'] as const;

export const login = command(
  {
    name: 'login',
    args: [],
    says: 'signs this machine in at a portal',
    details:
      'Without a token it shows an address and a code: whoever opens the one and types the other lets this machine act for them. The token is kept in a file that its owner alone may read, one for each portal.',
    options: {
      url: urlOption,
      token: {
        type: 'string',
        value: 'TOKEN',
        says: 'one that you made in the portal; "-" reads it from standard input',
      },
      scope: {
        type: 'string',
        multiple: true,
        value: 'SCOPE',
        says: `what it may beside read: ${scopes.slice(1).join(', ')}; write and apply otherwise`,
      },
      days: { type: 'string', value: 'DAYS', says: 'for how long, 365 at most; 90 otherwise' },
      name: { type: 'string', value: 'NAME', says: 'what this machine is called there; user@host otherwise' },
    },
  },
  async ({ terminal, values }) => {
    const url = portalUrl(
      values.url ?? terminal.environment['FLYWHEEL_URL'] ?? readStore(terminal).current ?? undefined,
    );
    if (url === null) throw new UsageError('login: --url is missing.');
    warnOfPlain(terminal, url);
    const token =
      values.token === undefined ? await byDevice(terminal, url, values) : await given(terminal, values.token);
    const me = await new Portal(terminal, { url, token }).get('/me', Me);
    keepPortal(terminal, url, { token, name: me.token.name, expiresAt: me.token.expiresAt });
    terminal.err(
      `Signed in at ${url} as ${printable(me.name)}. The token “${printable(me.token.name)}” ends on ${printable(me.token.expiresAt.slice(0, 10))}; it is kept in ${storePath(terminal)}.\n`,
    );
    return exitCodes.done;
  },
);

type Wished = { scope?: string[]; days?: string; name?: string };

function byDevice(terminal: Terminal, url: string, { scope, days, name }: Wished): Promise<string> {
  const wrong = (scope ?? []).find((each) => !scopes.some((known) => known === each));
  if (wrong !== undefined) throw new UsageError(`login: ${wrong} is none of ${scopes.join(', ')}.`);
  return deviceToken(terminal, url, {
    machine: name ?? machineName(),
    // Without it a token can tell nobody whose it is, nor end itself.
    scopes: [...new Set(['read', ...(scope ?? ['write', 'apply'])])],
    days: wholeNumber('days', days, 90, 365),
  });
}

async function given(terminal: Terminal, token: string): Promise<string> {
  if (token === '-') return oneToken(await terminal.readIn());
  terminal.err(
    'A token among the arguments is seen by whoever lists this machine’s processes; “-” reads it from standard input.\n',
  );
  return oneToken(token);
}

function oneToken(text: string): string {
  const token = text.trim();
  if (/^fw[pt]_[\w-]{43}$/.test(token)) return token;
  throw new UsageError('login: that is no token of a portal.');
}

export const logout = command(
  {
    name: 'logout',
    args: [],
    says: 'revokes the token of this machine at the portal, and removes it here',
    options: {
      url: urlOption,
      local: { type: 'boolean', says: 'only removes it here, and asks the portal for nothing' },
    },
  },
  async ({ terminal, values }) => {
    const kept = readStore(terminal);
    const url = portalUrl(values.url ?? terminal.environment['FLYWHEEL_URL'] ?? kept.current ?? undefined);
    const portal = url === null ? undefined : kept.portals[url];
    if (url === null || portal === undefined) {
      terminal.err('Nobody is signed in here.\n');
      return exitCodes.done;
    }
    if (!values.local) await revoke(terminal, url, portal.token);
    forgetPortal(terminal, url);
    terminal.err(
      values.local ? `Removed here; it still counts at ${url}.\n` : `Signed out of ${url}; its token is revoked.\n`,
    );
    return exitCodes.done;
  },
);

async function revoke(terminal: Terminal, url: string, token: string): Promise<void> {
  const answer = await new Portal(terminal, { url, token }).raw({ method: 'DELETE', path: '/me/token' });
  // It was revoked or has ended before, or the answer to the first try was lost.
  if (answer.status === 204 || answer.status === 401) return;
  const { screen, code } = problemOf(answer, url, true);
  throw new AppError(code, {
    log: 'logout',
    screen: { ...screen, todo: 'Try again, or remove it here alone: --local' },
  });
}
