import { z } from 'zod';

/** What we read of GitLab's answers, and no more. Ids are numbers there and strings here, since they are never reckoned with. */

const Id = z.union([z.int().nonnegative(), z.string().regex(/^\d+$/)]).transform(String);
// A NUL cannot be kept by Postgres, and no name of GitLab's has one.
const Text = z.string().transform((text) => text.replaceAll('\0', ''));
const Instant = z.iso.datetime({ offset: true }).transform((text) => new Date(text));
/** Hooks write `2021-02-23 02:41:37 UTC`, or ISO since they were told to. */
const HookInstant = z
  .string()
  .transform((text) => text.replace(/^(\S+) (\S+) UTC$/, '$1T$2Z'))
  .pipe(Instant);

export const User = z.object({
  id: Id,
  username: Text,
  name: Text.nullish(),
  avatar_url: z.url().nullish().catch(null),
  /** The person's own namespace; told only of oneself. */
  namespace_id: Id.nullish(),
  /** Told only to administrators. */
  is_admin: z.boolean().nullish(),
});
export type User = z.infer<typeof User>;

const visible = { visibility: z.string().catch('private') };

export const Group = z.object({ id: Id, name: Text, full_name: Text.nullish(), full_path: Text, ...visible });
export type Group = z.infer<typeof Group>;

export const Project = z.object({
  id: Id,
  name: Text,
  path_with_namespace: Text,
  namespace: z.object({ id: Id }),
  /** `disabled` where CI/CD is switched off for the whole project. */
  builds_access_level: z.string().nullish(),
  ...visible,
});
export type Project = z.infer<typeof Project>;

/** `awaiting` was invited to a group that is full, and may do nothing yet. */
export const Member = z.object({ access_level: z.int(), membership_state: z.string().nullish() });
export type Member = z.infer<typeof Member>;

export const Metadata = z.object({ version: z.string() });

/** The day at whose beginning (UTC) the token ends. */
const EndDay = z.iso.date().transform((day) => new Date(`${day}T00:00:00Z`));

export const AccessToken = z.object({
  user_id: Id,
  scopes: z.array(z.string()),
  expires_at: EndDay.nullish(),
});
export type AccessToken = z.infer<typeof AccessToken>;

/** One runner of a list, which tells neither whose it is nor its tags. */
export const RunnerItem = z.object({ id: Id, description: Text.nullish() });
export type RunnerItem = z.infer<typeof RunnerItem>;

export const Runner = z.object({
  id: Id,
  description: Text.nullish(),
  runner_type: z.string(),
  paused: z.boolean().catch(false),
  status: z.string().catch('offline'),
  contacted_at: Instant.nullish().catch(null),
  tag_list: z.array(Text),
  run_untagged: z.boolean(),
  locked: z.boolean().catch(false),
  maintenance_note: z.string().nullish().catch(null),
  projects: z.array(z.object({ id: Id })).nullish(),
  groups: z.array(z.object({ id: Id })).nullish(),
});
export type Runner = z.infer<typeof Runner>;

const secret = { token: z.string().min(1), token_expires_at: Instant.nullish() };
export const NewRunner = z.object({ id: Id, ...secret });
export const ResetToken = z.object(secret);

export const Hook = z.object({
  id: Id,
  url: z.string(),
  description: z.string().nullish(),
  job_events: z.boolean(),
  alert_status: z.string().nullish(),
  /** Told since 19.0, when hooks learnt to sign. */
  token_present: z.boolean().nullish(),
  signing_token_present: z.boolean().nullish(),
});
export type Hook = z.infer<typeof Hook>;

export const TokenAnswer = z.object({
  access_token: z.string().min(1),
  refresh_token: z.string().min(1).nullish(),
  expires_in: z.number().positive().nullish(),
});

/** GitLab words its refusals in four ways. */
export const Refused = z.object({
  message: z.unknown().optional(),
  error: z.unknown().optional(),
  error_description: z.string().optional(),
});

/** A page of a list as GitBeaker hands it over with `showExpanded`. */
export function page<T extends z.ZodType>(item: T) {
  const next = z.int().positive().nullish();
  return z.object({ data: z.array(item), paginationInfo: z.object({ next }) });
}

export const WebhookHead = z.object({
  object_kind: Text.nullish(),
  event_name: Text.nullish(),
  build_status: Text.nullish(),
});

export const WebhookPlace = z.object({
  project_id: Id.nullish(),
  group_id: Id.nullish(),
  project: z.object({ id: Id.nullish(), path_with_namespace: Text.nullish() }).nullish(),
  repository: z.object({ homepage: z.string().nullish() }).nullish(),
});

export const BuildPayload = WebhookPlace.extend({
  object_kind: z.literal('build'),
  build_id: Id,
  build_name: Text.nullish(),
  build_status: z.string(),
  build_created_at: HookInstant.nullish(),
  build_started_at: HookInstant.nullish(),
  build_finished_at: HookInstant.nullish(),
  project_id: Id,
  /** Null until a runner has the job; its tags are the only ones that the event tells of. */
  runner: z.object({ description: Text.nullish(), tags: z.array(Text).nullish() }).nullish(),
});
