import pg from 'pg';

/** A sandbox's database in the role that sees all tenants, which row security keeps from every other. */
export async function asSystem<T>(databaseUrl: string | undefined, use: (client: pg.Client) => Promise<T>): Promise<T> {
  if (databaseUrl === undefined) throw new Error('the sandbox has told of no database');
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('grant flywheel_system to current_user');
    await client.query('set role flywheel_system');
    return await use(client);
  } finally {
    await client.end();
  }
}
