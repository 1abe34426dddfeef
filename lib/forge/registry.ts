import { createHash } from 'node:crypto';
import { AppError } from '../errors.ts';
import type { ForgeKind } from '../model/index.ts';
import { ofForge } from './forge-error.ts';
import { forgejoForge, forgejoWebhooks } from './forgejo/index.ts';
import { githubForge, githubWebhooks } from './github/index.ts';
import { gitlabForge, gitlabWebhooks } from './gitlab/index.ts';
import type { Forge, ForgeConnectionValue, WebhookReader } from './port.ts';

type Adapter = { forge: (connection: ForgeConnectionValue) => Forge; webhooks: WebhookReader };

const installed: Partial<Record<ForgeKind, Adapter>> = {
  github: { forge: githubForge, webhooks: githubWebhooks },
  gitlab: { forge: gitlabForge, webhooks: gitlabWebhooks },
  forgejo: { forge: forgejoForge, webhooks: forgejoWebhooks },
};

export const installedKinds = Object.keys(installed) as ForgeKind[];

// A forge keeps the tokens it minted for an hour, so equal connections share one. Changed credentials are another forge.
const made = new Map<string, Forge>();
const madeMax = 1000;

export function forgeOf(connection: ForgeConnectionValue): Forge {
  const { forge } = adapterOf(connection.kind);
  const key = createHash('sha256').update(JSON.stringify(connection)).digest('base64');
  const known = made.get(key) ?? whole(forge(connection));
  made.delete(key);
  made.set(key, known);
  for (const oldest of made.keys()) {
    if (made.size <= madeMax) break;
    made.delete(oldest);
  }
  return known;
}

function whole(forge: Forge): Forge {
  return { ...ofForge(forge), signIn: ofForge(forge.signIn), runners: forge.runners && ofForge(forge.runners) };
}

export function webhookOf(kind: ForgeKind): WebhookReader {
  return adapterOf(kind).webhooks;
}

function adapterOf(kind: ForgeKind): Adapter {
  const adapter = installed[kind];
  if (adapter) return adapter;
  throw new AppError('invalid', {
    log: `no forge adapter of kind ${kind} is installed`,
    screen: { happened: `This portal cannot talk to ${kind} yet.`, todo: 'Choose another forge.' },
  });
}
