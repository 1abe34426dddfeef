import pg from 'pg';
import { sandbox } from './fixtures.ts';

/** The sandbox's database, in the role that sees all tenants. */
export async function asSystem<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: sandbox().database });
  await client.connect();
  try {
    await client.query('grant flywheel_system to current_user');
    await client.query('set role flywheel_system');
    return await use(client);
  } finally {
    await client.end();
  }
}
