/**
 * The least that keeps a delivery: the signature, the JSON, and one statement for all that wait, with no check of what it says, no
 * telemetry and no ORM before it. What the portal's door reaches is to be held against this as well as against a handler that keeps nothing.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { Client } from 'pg';
import { benchSecret } from './payload.ts';

type Payload = {
  workflow_job: { id: number; labels: string[]; status: string; conclusion: string | null; created_at: string };
  repository: { id: number; full_name: string; owner: { id: number; login: string } };
  installation: { id: number };
};
type Waiting = { row: object; resolve: () => void; reject: (error: unknown) => void };

const keepRows = {
  name: 'keep',
  text: `insert into delivery (connection_id, delivery_id, event, installation_id, payload)
         select 'least', "deliveryId", 'workflow_job', installation, job
         from jsonb_to_recordset($1::jsonb) as given ("deliveryId" text, installation text, job jsonb)
         on conflict do nothing returning delivery_id`,
};

/** Connects at once; what it answers resolves when the delivery is kept. */
export async function leastKeeper(): Promise<(headers: IncomingHttpHeaders, rawBody: Buffer) => Promise<void>> {
  const client = new Client({ connectionString: process.env.DATABASE_URL, options: '-c role=flywheel_system' });
  await client.connect();
  let waiting: Waiting[] = [];
  let isUnderWay = false;

  async function keepAll(): Promise<void> {
    isUnderWay = true;
    while (waiting.length > 0) {
      const together = waiting;
      waiting = [];
      try {
        await client.query({ ...keepRows, values: [JSON.stringify(together.map(({ row }) => row))] });
        for (const { resolve } of together) resolve();
      } catch (error) {
        for (const { reject } of together) reject(error);
      }
    }
    isUnderWay = false;
  }

  return (headers, rawBody) => {
    const row = rowOf(headers, rawBody);
    return new Promise((resolve, reject) => {
      waiting.push({ row, resolve, reject });
      if (!isUnderWay) void keepAll();
    });
  };
}

function rowOf(headers: IncomingHttpHeaders, rawBody: Buffer): object {
  const right = createHmac('sha256', benchSecret).update(rawBody).digest();
  const given = Buffer.from(String(headers['x-hub-signature-256']).slice('sha256='.length), 'hex');
  if (given.length !== right.length || !timingSafeEqual(given, right)) throw new Error('not signed');
  const { workflow_job: job, repository, installation } = JSON.parse(rawBody.toString('utf8')) as Payload;
  const { id, labels, status, conclusion, created_at: queuedAt } = job;
  return {
    deliveryId: headers['x-github-delivery'],
    installation: installation.id,
    job: { id, labels, status, conclusion, queuedAt, repository: repository.full_name, owner: repository.owner.login },
  };
}
