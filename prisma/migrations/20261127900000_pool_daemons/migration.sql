-- Pools whose runners have a daemon beside them (lib/model/pool.ts): the daemon's image by its digest, and which kernel a pod
-- of a runtime class runs on. What the form refuses is refused to whoever writes here by hand.
CREATE OR REPLACE FUNCTION is_placement(placement JSONB) RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  dns CONSTANT TEXT := '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
  dns_path CONSTANT TEXT := dns || '(\.' || dns || '){0,3}';
  word CONSTANT TEXT := '[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?';
  label_key CONSTANT TEXT := '^(' || dns_path || '/)?' || word || '$';
  label_value CONSTANT TEXT := '^(' || word || ')?$';
  cluster_taints CONSTANT TEXT := '^([a-z0-9.-]+\.)?(kubernetes\.io|k8s\.io)/';
  runtime JSONB := placement -> 'runtimeClass';
  kernel JSONB := placement -> 'kernel';
  selector JSONB := coalesce(placement -> 'nodeSelector', '{}');
  tolerations JSONB := coalesce(placement -> 'tolerations', '[]');
BEGIN
  IF jsonb_typeof(placement) <> 'object' THEN
    RETURN false;
  END IF;
  IF placement - ARRAY['runtimeClass', 'kernel', 'nodeSelector', 'tolerations'] <> '{}' THEN
    RETURN false;
  END IF;
  IF runtime IS NOT NULL AND (jsonb_typeof(runtime) <> 'string' OR runtime #>> '{}' !~ ('^' || dns_path || '$')) THEN
    RETURN false;
  END IF;
  IF kernel IS NOT NULL AND (runtime IS NULL OR kernel NOT IN ('"sandbox"', '"machine"')) THEN
    RETURN false;
  END IF;
  IF jsonb_typeof(selector) <> 'object' OR jsonb_typeof(tolerations) <> 'array' THEN
    RETURN false;
  END IF;
  IF jsonb_array_length(tolerations) > 10 OR (SELECT count(*) FROM jsonb_object_keys(selector)) > 10 THEN
    RETURN false;
  END IF;
  RETURN NOT EXISTS (
    SELECT FROM jsonb_each(selector) AS label
    WHERE label.key !~ label_key OR label.key = 'kubernetes.io/os'
       OR jsonb_typeof(label.value) <> 'string' OR label.value #>> '{}' !~ label_value
  ) AND NOT EXISTS (
    SELECT FROM jsonb_array_elements(tolerations) AS borne (taint)
    WHERE CASE WHEN jsonb_typeof(taint) <> 'object' THEN true ELSE
      taint - ARRAY['key', 'value', 'effect'] <> '{}'
      OR coalesce(jsonb_typeof(taint -> 'key') <> 'string', true)
      OR taint ->> 'key' !~ label_key OR taint ->> 'key' ~ cluster_taints
      OR coalesce(jsonb_typeof(taint -> 'value') <> 'string' OR taint ->> 'value' !~ label_value, false)
      OR coalesce(jsonb_typeof(taint -> 'effect') <> 'string'
                  OR taint ->> 'effect' NOT IN ('NoSchedule', 'PreferNoSchedule', 'NoExecute'), false)
    END
  );
END $$;

ALTER TABLE "pool" ADD COLUMN "daemon_image" TEXT CONSTRAINT "pool_daemon_image"
  CHECK ("daemon_image" ~ '^[a-z0-9][A-Za-z0-9._:/-]*@sha256:[0-9a-f]{64}$');

-- What is there of these classes already could never be chosen, and is mended when it is next written.
ALTER TABLE "pool" ADD CONSTRAINT "pool_daemon" CHECK (
  "security_class" = 'restricted' OR "daemon_image" IS NOT NULL
) NOT VALID;

-- A privileged daemon is root of what it runs on: a machine of its own, on nodes that run nothing else.
ALTER TABLE "pool" ADD CONSTRAINT "pool_privileged_daemon" CHECK (
  "security_class" <> 'dind' OR coalesce(
    "placement" ? 'runtimeClass' AND "placement" ->> 'kernel' = 'machine'
    AND "placement" -> 'nodeSelector' <> '{}' AND "placement" -> 'tolerations' <> '[]',
    false
  )
) NOT VALID;
