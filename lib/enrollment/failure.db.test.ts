import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { systemClock } from '#lib/clock.ts';
import type { ClusterView } from '#lib/cluster/index.ts';
import { seal, unsafeDb } from '#lib/db/index.ts';
import type { Lease } from '#lib/work/index.ts';
import { type Github, startGithub } from '#sandbox/github/index.ts';
import { addTenant, startTestRows, type TestRows } from '#sandbox/test-support/rows.ts';
import { parsedConditions } from './conditions.ts';
import { connectionPlace, githubAppPlace } from './places.ts';
import { reconcileEnrollment } from './reconcile.ts';

/* Whose App GitHub refuses, and who is told to mend it: a whole pass, beside a cluster that does not answer. */

let rows: TestRows;
let github: Github;
beforeAll(async () => {
  process.env['FLYWHEEL_SANDBOX'] = '1';
  rows = await startTestRows();
  github = await startGithub({ port: 0 });
  const sealed = {
    sealedClientSecret: await seal('secret', connectionPlace('forge', 'client_secret')),
    sealedPrivateKey: await seal(strange, connectionPlace('forge', 'private_key')),
  };
  const app = { appId: String(github.app.id), appSlug: 'shared-app' };
  await unsafeDb().forgeConnection.update({
    where: { id: 'forge' },
    data: { baseUrl: github.url, ...app, ...sealed },
  });
});
afterAll(async () => {
  await github?.stop();
  await rows?.stop();
});

/** A key that GitHub does not know, as one that was revoked. */
const { privateKey: strange } = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
});

async function passed(slug: string, isOwn: boolean) {
  const { tenantId, enrollmentId, githubAppId } = await addTenant(slug);
  const place = { tenantId, id: githubAppId };
  await unsafeDb().githubApp.update({
    where: { id: githubAppId },
    data: {
      ...(isOwn ? { appId: String(github.app.id) } : {}),
      sealedPrivateKey: await seal(strange, githubAppPlace(place, 'private_key')),
      sealedWebhookSecret: await seal('secret', githubAppPlace(place, 'webhook_secret')),
    },
  });
  const spec = { pools: [{ pool: 'nix', minRunners: 0, maxRunners: 2 }], planes: {} };
  const acts = { installationId: '1', githubAppId: isOwn ? githubAppId : null };
  await unsafeDb().enrollment.update({ where: { id: enrollmentId }, data: { spec, ...acts } });
  const nothing = async () => {};
  const signal = new AbortController().signal;
  const lease: Lease = { key: enrollmentId, attempts: 1, signal, check: nothing, fence: nothing };
  const view = { whenSynced: async () => false, allIn: () => [], get: () => undefined } as unknown as ClusterView;
  const outcome = await reconcileEnrollment({ clock: systemClock, view: () => view, seen: new Map() }, lease);
  const { conditions } = await unsafeDb().enrollment.findUniqueOrThrow({ where: { id: enrollmentId } });
  const notices = await unsafeDb().notice.findMany({ where: { tenantId, kind: 'enrollment-failed' } });
  const ready = parsedConditions(conditions).find(({ type }) => type === 'Ready');
  return { outcome, ready, said: notices.map(({ body }) => body) };
}

test('the connection’s App is the operator’s to mend', async () => {
  const { outcome, ready, said } = await passed('shares', false);
  expect(outcome).toMatchObject({ kind: 'wait', waitingFor: 'operator' });
  expect(ready).toMatchObject({ reason: 'Refused', waitingFor: 'operator' });
  expect(said).toEqual([expect.stringMatching(/The operator must check .* It waits for the operator\.$/)]);
});

test('an organization’s own App is its admin’s to mend, who is told where', async () => {
  const { outcome, ready, said } = await passed('owns', true);
  expect(outcome).toMatchObject({ kind: 'wait', waitingFor: 'admin' });
  expect(ready).toMatchObject({ reason: 'Refused', waitingFor: 'admin' });
  expect(said).toEqual([
    expect.stringMatching(/App app-of-owns at GitHub, and enter it under Settings.* It waits for an admin/),
  ]);
});
