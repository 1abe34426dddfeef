import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';

/* The configurations that gitlab-runner 19 and forgejo-runner 12 read, as far as is played here. Their own names and defaults. */

const Strings = z.record(z.string(), z.string());

const Sizes = z.object({ cpu: z.string(), memory: z.string(), 'ephemeral-storage': z.string() });
export type Sizes = z.infer<typeof Sizes>;

const Patch = z.object({
  patch_type: z.literal('strategic'),
  patch: z.string().transform((text) => Spec.parse(parseYaml(text))),
});
const Spec = z.record(z.string(), z.unknown());

export const KubernetesConfig = z
  .looseObject({
    namespace: z.string(),
    image: z.string(),
    service_account: z.string().default('default'),
    automount_service_account_token: z.boolean().optional(),
    privileged: z.boolean().default(false),
    allow_privilege_escalation: z.boolean().optional(),
    cap_drop: z.array(z.string()).default([]),
    node_selector: Strings.default({}),
    pod_labels: Strings.default({}),
    pod_security_context: z
      .object({
        run_as_non_root: z.boolean().optional(),
        run_as_user: z.int().optional(),
        run_as_group: z.int().optional(),
        fs_group: z.int().optional(),
      })
      .default({}),
    pod_spec: z.array(Patch).default([]),
    retry_limits: z.record(z.string(), z.int()).default({}),
    retry_backoff_max: z.int().default(2000),
  })
  .transform((given) => ({ ...given, build: sizesOf(given, ''), helper: sizesOf(given, 'helper_') }));
export type KubernetesConfig = z.infer<typeof KubernetesConfig>;

type Bounds = { requests: Partial<Sizes>; limits: Partial<Sizes> };

/** `cpu_request`, `helper_memory_limit` and so on, as a container has them. */
function sizesOf(given: Record<string, unknown>, prefix: string): Bounds {
  const bound = (name: 'request' | 'limit'): Partial<Sizes> =>
    Object.fromEntries(
      [
        ['cpu', given[`${prefix}cpu_${name}`]],
        ['memory', given[`${prefix}memory_${name}`]],
        ['ephemeral-storage', given[`${prefix}ephemeral_storage_${name}`]],
      ].filter(([, value]) => typeof value === 'string'),
    ) as Partial<Sizes>;
  return { requests: bound('request'), limits: bound('limit') };
}

const GitlabRunner = z.looseObject({
  name: z.string(),
  url: z.string(),
  token: z.string(),
  executor: z.literal('kubernetes'),
  /** 0 is none, as in gitlab-runner. */
  limit: z.int().default(0),
  feature_flags: z.record(z.string(), z.boolean()).default({}),
  kubernetes: KubernetesConfig,
});

const GitlabConfig = z.looseObject({
  concurrent: z.int().positive(),
  check_interval: z.number().default(3),
  runners: z.tuple([GitlabRunner], GitlabRunner),
});
export type GitlabConfig = z.infer<typeof GitlabConfig>;
export type GitlabRunner = z.infer<typeof GitlabRunner>;

export function gitlabConfig(text: string): GitlabConfig {
  return GitlabConfig.parse(parseToml(text));
}

const Connection = z.object({ url: z.string(), uuid: z.string(), token: z.string(), labels: z.array(z.string()) });

const ForgejoConfig = z.looseObject({
  runner: z.looseObject({
    capacity: z.literal(1),
    fetch_interval: z
      .string()
      .regex(/^\d+s$/)
      .default('2s'),
  }),
  server: z.object({ connections: z.record(z.string(), Connection) }),
});

export type ForgejoRunnerConfig = z.infer<typeof Connection> & { fetchMs: number };

export function forgejoConfig(text: string): ForgejoRunnerConfig {
  const { runner, server } = ForgejoConfig.parse(parseYaml(text));
  const [connection] = Object.values(server.connections);
  if (!connection) throw new Error('no connection is configured');
  return { ...connection, fetchMs: Number.parseInt(runner.fetch_interval, 10) * 1000 };
}
