import { AppError } from '../../errors.ts';
import type { ScopeProblem } from '../port.ts';
import type { Ask, Client } from './client.ts';
import { Meta } from './schema.ts';

/*
 * An Enterprise Server is as old as its operator leaves it. Runner scale sets, which ARC registers, came with 3.9
 * (actions/actions-runner-controller, issue 3070); `GET /meta` tells the version there and nowhere else.
 */

const oldest = { major: 3, minor: 9 };

/** Asked before anything is written; null where the server will do, and of github.com and ghe.com, which are never old. */
export async function versionProblem(client: Client, ask: Ask): Promise<ScopeProblem | null> {
  if (!client.isServer) return null;
  const meta = await client.find('GET /meta', Meta, ask);
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(meta?.installed_version ?? '') ?? [];
  if (major === undefined || Number(major) > oldest.major) return null;
  if (Number(major) === oldest.major && Number(minor) >= oldest.minor) return null;
  return {
    reason: 'ServerTooOld',
    message: `This GitHub Enterprise Server is ${major}.${minor}, which has no runner scale sets. Its operator must upgrade it to ${oldest.major}.${oldest.minor} or later.`,
  };
}

/** The same for whoever is about to enrol. */
export async function assertVersion(client: Client, ask: Ask): Promise<void> {
  const problem = await versionProblem(client, ask);
  if (!problem) return;
  throw new AppError('forbidden', {
    log: `github: ${problem.message}`,
    screen: { happened: problem.message, todo: 'Ask the operator of that server.' },
  });
}
