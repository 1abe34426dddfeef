import { z } from 'zod';

/** What we read of Attic's answer to GET /_api/v1/cache-config/{cache}. */
export const CacheConfig = z.object({
  substituter_endpoint: z.string(),
  public_key: z.string(),
  is_public: z.boolean(),
  priority: z.number(),
  upstream_cache_key_names: z.array(z.string()),
  /** "Global", or a period in seconds, where 0 is "for ever". */
  retention_period: z.union([z.literal('Global'), z.object({ Period: z.number() })]).nullish(),
});
export type CacheConfig = z.infer<typeof CacheConfig>;

/** Attic's error body. `error` is a stable name such as NoSuchCache. */
export const AtticError = z.object({ error: z.string(), message: z.string().catch('') });
export type AtticError = z.infer<typeof AtticError>;
