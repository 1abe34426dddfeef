import { z } from 'zod';

/** What we read of Forgejo's and Gitea's answers, and no more. Ids are numbers there and strings here. */

const Id = z.union([z.int().nonnegative(), z.string().regex(/^\d+$/)]).transform(String);
// A NUL cannot be kept by Postgres, and no name of a forge's has one.
const Text = z.string().transform((text) => text.replaceAll('\0', ''));
/** Go writes a time that never was as year 1 or as the epoch. */
const Instant = z.iso
  .datetime({ offset: true })
  .transform((text) => new Date(text))
  .transform((at) => (at.getTime() > 0 ? at : null));

/** A list and how many there are in all, where the body says so. An empty list is sometimes `null`. */
export function listOf<T extends z.ZodType>(item: T) {
  return z
    .array(item)
    .nullable()
    .transform((items) => ({ items: items ?? [], total: null as number | null }));
}

export const Version = z.object({ version: Text });

export const User = z.object({
  id: Id,
  login: Text,
  full_name: Text.nullish(),
  avatar_url: z.url().nullish().catch(null),
});
export type User = z.infer<typeof User>;

export const Organization = z.object({ id: Id, name: Text, full_name: Text.nullish() });
export type Organization = z.infer<typeof Organization>;

/** Everybody in an organization is in one of its teams, and its owners are in the one whose permission is `owner`. */
export const Team = z.object({ id: Id, permission: Text.catch('none'), organization: Organization });
export type Team = z.infer<typeof Team>;

/** One of an organization's own list, which need not say whose it is. */
export const TeamItem = z.object({ id: Id, name: Text });

export const OrgPermissions = z.object({ is_owner: z.boolean(), can_read: z.boolean() });

/** A search answers within an object. */
export const FoundUsers = z
  .object({ data: z.array(User).nullable() })
  .transform(({ data }) => ({ items: data ?? [], total: null as number | null }));

export const Repository = z.object({
  id: Id,
  name: Text,
  full_name: Text,
  private: z.boolean(),
  has_actions: z.boolean().catch(true),
  owner: z.object({ id: Id, login: Text }),
  permissions: z.object({ admin: z.boolean().catch(false), push: z.boolean().catch(false) }).nullish(),
});
export type Repository = z.infer<typeof Repository>;

/** Forgejo says `offline`, `idle` or `active`, Gitea `offline` or `online` and whether it was switched off. */
export const Runner = z.object({
  id: Id,
  name: Text,
  status: Text,
  disabled: z.boolean().catch(false),
  version: Text.nullish(),
});
export type Runner = z.infer<typeof Runner>;

/** Forgejo lists runners plainly, Gitea within an object. */
export const RunnerList = z.union([
  listOf(Runner),
  z
    .object({ runners: z.array(Runner).nullable(), total_count: z.int() })
    .transform(({ runners, total_count: total }) => ({ items: runners ?? [], total })),
]);

export const RegisteredRunner = z.object({ id: Id, uuid: z.string().min(1), token: z.string().min(1) });
export type RegisteredRunner = z.infer<typeof RegisteredRunner>;

export const RegistrationToken = z.object({ token: z.string().min(1) });
/** Of the runners' own protocol, in its JSON form, where 64-bit numbers are strings. */
export const RegisterAnswer = z.object({ runner: RegisteredRunner });

export const Hook = z.object({
  id: Id,
  active: z.boolean(),
  events: z.array(Text).nullish(),
  config: z.object({ url: Text, content_type: Text }).partial().nullish(),
});
export type Hook = z.infer<typeof Hook>;

export const TokenAnswer = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).nullish(),
  expires_in: z.number().positive().nullish(),
});
export const GrantRefusal = z.object({ error: z.string(), error_description: z.string().catch('') });

export const Refused = z.object({ message: z.string().catch('') });

export const WebhookHead = z.object({ action: Text.nullish() });

const About = z.object({ id: Id, full_name: Text, owner: z.object({ id: Id }) });
/** The payload of a run that ended carries the repository within the run. */
export const WebhookAbout = z.object({
  repository: About.nullish(),
  organization: z.object({ id: Id }).nullish(),
  run: z.object({ repository: About.nullish() }).nullish(),
});

/** Gitea's `workflow_job`, which is shaped after GitHub's. */
export const WorkflowJobPayload = z.object({
  workflow_job: z.object({
    id: Id,
    status: z.string(),
    conclusion: Text.nullish(),
    labels: z.array(Text).nullish(),
    runner_name: Text.nullish(),
    name: Text.nullish(),
    created_at: Instant,
    started_at: Instant.nullish(),
    completed_at: Instant.nullish(),
  }),
  repository: z.object({ id: Id, full_name: Text, owner: z.object({ id: Id, login: Text }) }),
});
