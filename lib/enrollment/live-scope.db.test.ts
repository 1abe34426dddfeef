import { afterAll, beforeAll, expect, test } from 'vitest';
import { unsafeDb } from '#lib/db/index.ts';
import { addTenant, startTestRows, type TenantRows, type TestRows } from '#sandbox/test-support/rows.ts';

/* What the database itself holds of scopes and of what belongs to an enrollment. */

let rows: TestRows;
let acme: TenantRows;

beforeAll(async () => {
  rows = await startTestRows();
  acme = await addTenant('acme');
});
afterAll(() => rows?.stop());

function live(name: string, level: 'organization' | 'repository', scopeId: string) {
  const position = { connectionId: 'forge', level, path: name, scopeId, ownerId: scopeId };
  return unsafeDb().enrollment.create({ data: { ...position, tenantId: acme.tenantId, name, state: 'active' } });
}

test('a scope is enrolled once; the same number at another level is another scope', async () => {
  await live('seven', 'organization', '7');
  await expect(live('seven-again', 'organization', '7')).rejects.toMatchObject({ code: 'P2002' });
  await expect(live('repository-seven', 'repository', '7')).resolves.toMatchObject({ state: 'active' });
});

test('no credential outlives its enrollment, and none is of no enrollment', async () => {
  const { id: enrollmentId } = await live('eight', 'organization', '8');
  const credential = { tenantId: acme.tenantId, kind: 'forge-token', sealedValue: 'sealed' };
  await unsafeDb().credential.create({ data: { ...credential, enrollmentId } });
  await unsafeDb().enrollment.delete({ where: { id: enrollmentId } });
  expect(await unsafeDb().credential.count({ where: { enrollmentId } })).toBe(0);
  await expect(unsafeDb().credential.create({ data: { ...credential, enrollmentId } })).rejects.toMatchObject({
    code: 'P2003',
  });
});

test('a tenant has one Bazel password', async () => {
  const { id: enrollmentId } = await live('nine', 'organization', '9');
  const data = { tenantId: acme.tenantId, enrollmentId, kind: 'bazel-password', sealedValue: 'sealed' };
  await expect(unsafeDb().credential.create({ data })).rejects.toMatchObject({ code: 'P2002' });
});
