-- Where a pool's runners run: by which container runtime, and on which nodes (lib/model/placement.ts).
-- The rule is the schema's own, told again: whoever writes here by hand is refused as a form would refuse.
CREATE FUNCTION is_placement(placement JSONB) RETURNS BOOLEAN LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  dns CONSTANT TEXT := '[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?';
  dns_path CONSTANT TEXT := dns || '(\.' || dns || '){0,3}';
  word CONSTANT TEXT := '[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?';
  label_key CONSTANT TEXT := '^(' || dns_path || '/)?' || word || '$';
  label_value CONSTANT TEXT := '^(' || word || ')?$';
  cluster_taints CONSTANT TEXT := '^([a-z0-9.-]+\.)?(kubernetes\.io|k8s\.io)/';
  runtime JSONB := placement -> 'runtimeClass';
  selector JSONB := coalesce(placement -> 'nodeSelector', '{}');
  tolerations JSONB := coalesce(placement -> 'tolerations', '[]');
BEGIN
  IF jsonb_typeof(placement) <> 'object' THEN
    RETURN false;
  END IF;
  IF placement - ARRAY['runtimeClass', 'nodeSelector', 'tolerations'] <> '{}' THEN
    RETURN false;
  END IF;
  IF runtime IS NOT NULL AND (jsonb_typeof(runtime) <> 'string' OR runtime #>> '{}' !~ ('^' || dns_path || '$')) THEN
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

ALTER TABLE "pool" ADD COLUMN "placement" JSONB CONSTRAINT "pool_placement" CHECK (is_placement("placement"));
