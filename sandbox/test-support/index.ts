// What an integration test asks for. Needs the vitest project `integration`, whose global setup runs the servers.
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { withDatabase } from '#sandbox/postgres.ts';

export interface TestDatabase extends AsyncDisposable {
  /** As flywheel_owner: migrations, and what a test must see or break behind the portal's back. */
  ownerUrl: string;
  /** As flywheel_app, which row security binds. */
  appUrl: string;
  /** As the superuser: terminating connections, reading statistics. */
  adminUrl: string;
  drop(): Promise<void>;
}

/** A database of the test's own, migrated and empty. `await using db = await testDatabase()` drops it at the end. */
export async function testDatabase(): Promise<TestDatabase> {
  const admin = required('FLYWHEEL_TEST_DATABASE_ADMIN_URL');
  const ownerUrl = required('FLYWHEEL_TEST_DATABASE_OWNER_URL');
  const appUrl = required('FLYWHEEL_TEST_DATABASE_APP_URL');
  const template = new URL(ownerUrl).pathname.slice(1);
  const name = `test_${randomBytes(8).toString('hex')}`;
  await execute(admin, `CREATE DATABASE ${name} TEMPLATE ${template} OWNER flywheel_owner`);
  const drop = () => execute(admin, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
  return {
    ownerUrl: withDatabase(ownerUrl, name),
    appUrl: withDatabase(appUrl, name),
    adminUrl: withDatabase(admin, name),
    drop,
    [Symbol.asyncDispose]: drop,
  };
}

export interface TestCluster {
  /** cluster-admin. */
  kubeconfigPath: string;
  /** The rights that the portal has, and no more. */
  portalKubeconfigPath: string;
}

/**
 * The Kubernetes API, one for all tests of a run, on request with the stand-in for ARC: name namespaces so that tests do not meet. FLYWHEEL_TEST_KUBECONFIG
 * names another one to use.
 */
export async function testCluster(options: { arc?: boolean } = {}): Promise<TestCluster> {
  const own = process.env['FLYWHEEL_TEST_KUBECONFIG'];
  if (own) {
    return { kubeconfigPath: own, portalKubeconfigPath: process.env['FLYWHEEL_TEST_PORTAL_KUBECONFIG'] ?? own };
  }
  const answer = await fetch(new URL(options.arc ? '/with-arc' : '/', required('FLYWHEEL_TEST_CLUSTER_DESK')));
  if (!answer.ok) throw new Error(`There is no cluster to test with: ${await answer.text()}`);
  return (await answer.json()) as TestCluster;
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function required(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run this test with "vitest --project integration".`);
  return value;
}
