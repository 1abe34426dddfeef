// A real Gitea as the browser tests need it: who owns what, and the OAuth application by which the portal signs people in.
import { rmSync } from 'node:fs';
import { z } from 'zod';
import { type Gitea, startGitea } from '#sandbox/gitea.ts';

export interface GiteaWorldOptions {
  /** Forgotten at each start, as Gitea's people are made anew. */
  dataDir: string;
  port: number;
  binary: string;
  redirectUri: string;
}

export interface GiteaWorld {
  gitea: Gitea;
  clientId: string;
  clientSecret: string;
}

const owner = 'ada-tinyland';
const people = [owner, 'mallory'];
const organization = 'tinyland';
const repository = 'site';

const Application = z.object({ client_id: z.string(), client_secret: z.string() });

export async function startGiteaWorld({ dataDir, port, binary, redirectUri }: GiteaWorldOptions): Promise<GiteaWorld> {
  rmSync(dataDir, { recursive: true, force: true });
  const gitea = await startGitea({ dataDir, port, binary });
  try {
    for (const login of people) await gitea.addUser(login);
    const basic: [string, string] = [owner, gitea.passwordOf(owner)];
    await gitea.api('POST', '/orgs', { basic, body: { username: organization } });
    const body = { name: repository, auto_init: true, default_branch: 'main', private: true };
    await gitea.api('POST', `/orgs/${organization}/repos`, { basic, body });
    const application = { name: 'Flywheel Sandbox', redirect_uris: [redirectUri], confidential_client: true };
    const made = Application.parse(await gitea.api('POST', '/user/applications/oauth2', { body: application }));
    return { gitea, clientId: made.client_id, clientSecret: made.client_secret };
  } catch (error) {
    await gitea.stop();
    throw error;
  }
}
