import { z } from 'zod';

/** What we read of GitHub's answers, and no more. Ids are numbers there and strings here, since they are never reckoned with. */

const Id = z.union([z.int().nonnegative(), z.string().regex(/^\d+$/)]).transform(String);
// A NUL cannot be kept by Postgres, and no name of GitHub's has one.
const Text = z.string().transform((text) => text.replaceAll('\0', ''));
const Instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
const Selection = z.enum(['all', 'selected']);

/** The version of an Enterprise Server; github.com tells none. */
export const Meta = z.object({ installed_version: z.string().nullish() });

export const Account = z.object({ id: Id, login: Text, type: Text.catch('User') });
export type Account = z.infer<typeof Account>;

export const User = z.object({
  id: Id,
  login: Text,
  name: Text.nullish().transform((name) => name || null),
  avatar_url: z.url().nullish().catch(null),
});
export type User = z.infer<typeof User>;

export const Organization = z.object({ id: Id, login: Text, name: Text.nullish() });
export type Organization = z.infer<typeof Organization>;

/** Anybody's page; `type` tells a person from an organization. */
export const PublicUser = User.extend({ type: Text.catch('User') });

export const Team = z.object({ id: Id, name: Text, slug: Text });

export const TeamMembership = z.object({ state: z.string(), role: z.string() });

/** `billing_manager` manages nothing that runs. */
export const Membership = z.object({
  state: z.enum(['active', 'pending']),
  role: z.enum(['admin', 'member', 'billing_manager']).catch('billing_manager'),
  organization: z.object({ id: Id, login: Text }),
});
export type Membership = z.infer<typeof Membership>;

export const Repository = z.object({
  id: Id,
  name: Text,
  full_name: Text,
  private: z.boolean(),
  owner: z.object({ id: Id, login: Text }),
  permissions: z.object({ admin: z.boolean().catch(false), push: z.boolean().catch(false) }).nullish(),
});
export type Repository = z.infer<typeof Repository>;

export const Installation = z.object({
  id: Id,
  account: Account,
  repository_selection: Selection,
  permissions: z.record(z.string(), z.string()),
  suspended_at: Instant.nullish().transform((at) => at ?? null),
  html_url: z.url(),
});
export type Installation = z.infer<typeof Installation>;

/** `databaseId` is what REST and webhooks call the enterprise's id. */
export const Enterprise = z
  .object({ databaseId: Id, slug: Text, name: Text, viewerIsAdmin: z.boolean().catch(false) })
  .transform(({ databaseId: id, slug, name, viewerIsAdmin }) => ({ id, slug, name, viewerIsAdmin }));
export type Enterprise = z.infer<typeof Enterprise>;

/** GraphQL answers 200 to what it refuses, and says so beside what it could answer. */
export const EnterpriseAnswer = z
  .object({
    data: z
      .object({
        enterprise: Enterprise.nullish(),
        viewer: z.object({ enterprises: z.object({ nodes: z.array(Enterprise.nullable()) }) }).nullish(),
      })
      .nullish(),
    errors: z.array(z.object({ type: Text.catch('UNKNOWN'), message: Text })).default([]),
  })
  // Absent and refused are said; an answer that says nothing at all is none.
  .refine(({ data, errors }) => data?.enterprise !== undefined || errors.length > 0, { path: ['data'] });

export const AppItself = z.object({ html_url: z.url() });

export const AppOfOwner = z.object({ id: Id, slug: Text, html_url: z.url(), owner: Account });

/** What the manifest flow ends with, the one time that GitHub tells an App's secrets. */
export const MadeApp = AppOfOwner.extend({
  client_id: z.string().min(1),
  client_secret: z.string().min(1),
  webhook_secret: z.string().min(1),
  pem: z.string().startsWith('-----BEGIN '),
});

export const HookConfig = z.object({ url: Text.nullish().transform((url) => url || null) });
export const HookDelivery = z.object({ delivered_at: Instant, event: Text, status_code: z.int() });

/** Somebody's membership as the App is told it. */
export const MemberOf = Membership.extend({ user: z.object({ id: Id }) });

export const InstallationPage = z.object({ installations: z.array(Installation) });
export const RepositoryPage = z.object({ repositories: z.array(Repository) });

export const InstallationToken = z.object({ token: z.string(), expires_at: Instant });
export type InstallationToken = z.infer<typeof InstallationToken>;

export const RunnerGroup = z.object({
  id: Id,
  name: Text,
  visibility: Text,
  default: z.boolean().catch(false),
  allows_public_repositories: z.boolean(),
});
export type RunnerGroup = z.infer<typeof RunnerGroup>;

export const RunnerGroupPage = z.object({ runner_groups: z.array(RunnerGroup) });

/** GitHub answers 200 to a refused code too, with `error` in place of the token. */
export const TokenAnswer = z.union([
  z.object({
    access_token: z.string().min(1),
    refresh_token: z.string().min(1).nullish(),
    expires_in: z.number().positive().nullish(),
  }),
  z.object({ error: z.string() }),
]);

export const Refused = z.object({ message: z.string().catch('') });

/** A moved repository: the answer to its old name is 301 with the address by id. */
export const Moved = z.object({ url: z.string() });

export const WebhookHead = z.object({
  action: Text.nullish(),
  installation: z.object({ id: Id }).nullish(),
});

export const WebhookAccount = z.object({
  repository: z.object({ id: Id, full_name: Text, owner: z.object({ id: Id }) }).nullish(),
  organization: z.object({ id: Id }).nullish(),
  installation: z.object({ account: z.object({ id: Id }).nullish() }).nullish(),
  /** Of `installation_target`, whose installation is told by its id alone. */
  account: z.object({ id: Id }).nullish(),
});

/** `organization` names somebody's membership, `membership` the member of a team. */
export const WebhookPerson = z.object({
  membership: z.object({ user: z.object({ id: Id }) }).nullish(),
  member: z.object({ id: Id }).nullish(),
});

/** The payload of `installation` carries the whole of it; others only its id. */
export const InstallationPayload = z.object({
  action: Text,
  installation: Installation.omit({ html_url: true }),
});

export const WorkflowJobPayload = z.object({
  workflow_job: z.object({
    id: Id,
    run_id: Id.nullish(),
    status: z.string(),
    conclusion: Text.nullish(),
    labels: z.array(Text),
    runner_name: Text.nullish(),
    workflow_name: Text.nullish(),
    name: Text.nullish(),
    created_at: Instant,
    started_at: Instant.nullish(),
    completed_at: Instant.nullish(),
  }),
  repository: z.object({ id: Id, full_name: Text, owner: z.object({ id: Id, login: Text }) }),
  enterprise: z.object({ id: Id }).nullish(),
});
