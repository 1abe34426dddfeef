import { z } from 'zod';
import { type Answer, type Ask, html, type Html, page, type Routes } from '#sandbox/stand-in/index.ts';
import { allScopes } from './access.ts';
import type { User } from './model.ts';
import { accountPicker, cookieOf, personalToken, userOfCookie } from './oauth.ts';
import type { World } from './world.ts';

const path = '/user/settings/applications';

/** Where a person makes an access token: its name, what it may do, and then the token itself, once. */
export function settingsRoutes(web: Routes, world: World): void {
  web.on('GET', path, (ask) => {
    const user = userOfCookie(world, ask);
    return user ? settings(world, user) : whoAreYou(world);
  });
  web.on('POST', path, (ask) => {
    const { login, name, scope } = Form.parse(ask.body ?? {});
    const chosen = login === undefined ? undefined : world.user(login);
    if (chosen) return { status: 303, headers: { location: path, 'set-cookie': cookieOf(chosen) } };
    const user = userOfCookie(world, ask);
    if (!user) return whoAreYou(world);
    const made = personalToken(world, user, name ?? 'token', scope);
    return settings(world, user, made.token);
  });
  web.on('POST', `${path}/delete`, (ask) => remove(world, ask));
}

const Form = z.object({
  login: z.string().optional(),
  name: z.string().optional(),
  scope: z
    .union([z.string().transform((one) => [one]), z.array(z.string())])
    .default([])
    .transform((scopes) => scopes.filter((scope) => allScopes.includes(scope))),
});

function whoAreYou(world: World): Answer {
  const content = html`<h1>Access tokens</h1>
    <p>Choose whom to be.</p>
    <form method="post" action="${path}">${accountPicker(world)}</form>`;
  return { status: 200, ...page('Access tokens', content) };
}

function settings(world: World, user: User, shown?: string): Answer {
  const content = html`<h1>Access tokens of ${user.login}</h1>
    <p>A token may do what its scopes say, and no more than ${user.login} may.</p>
    ${shown !== undefined && freshToken(shown)}
    <form method="post" action="${path}" class="card">
      <h2>Generate a token</h2>
      <label class="field" for="name">Token name</label><input id="name" name="name" required />
      <p></p>
      <fieldset>
        <legend>Scopes</legend>
        ${allScopes.map(
          (scope) => html`<label><input type="checkbox" name="scope" value="${scope}" /> ${scope}</label>`,
        )}
      </fieldset>
      <button class="primary">Generate token</button>
    </form>
    ${tokenList(world, user)}`;
  return { status: 200, ...page('Access tokens', content) };
}

function freshToken(token: string): Html {
  return html`<div class="card" role="status">
    <h2>Your new token</h2>
    <p>Copy it now: it is not shown again.</p>
    <label class="field" for="token">Token</label><input id="token" readonly value="${token}" />
  </div>`;
}

function tokenList(world: World, user: User): Html {
  const tokens = Object.values(world.state.tokens).flatMap((token) =>
    token.kind === 'personal' && token.userId === user.id ? [token] : [],
  );
  return html`<h2>Tokens</h2>
    <ul class="list">
      ${tokens.map(
        ({ id, name, scopes }) =>
          html`<li>
            <form method="post" action="${path}/delete">
              <strong>${name}</strong> <span class="soft">${scopes.join(', ') || 'no scope'}</span>
              <button name="id" value="${id}">Delete ${name}</button>
            </form>
          </li>`,
      )}
    </ul>`;
}

function remove(world: World, ask: Ask): Answer {
  const user = userOfCookie(world, ask);
  const { id } = z.object({ id: z.coerce.number() }).parse(ask.body ?? {});
  const token = Object.values(world.state.tokens).find((each) => each.kind === 'personal' && each.id === id);
  if (user && token?.userId === user.id) delete world.state.tokens[token.token];
  world.save();
  return { status: 303, headers: { location: path } };
}
