import type { Kube } from './kube.ts';

/** As much of a structural schema as a custom resource may carry. */
export interface Schema {
  type?: string;
  format?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  additionalProperties?: Schema | boolean;
  required?: string[];
  default?: unknown;
  nullable?: boolean;
  'x-kubernetes-int-or-string'?: boolean;
  'x-kubernetes-preserve-unknown-fields'?: boolean;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-map-type'?: string;
}

interface OpenApi extends Schema {
  $ref?: string;
  allOf?: OpenApi[];
}

const core = 'io.k8s.api.core.v1';
const quantity = 'io.k8s.apimachinery.pkg.api.resource.Quantity';
const intOrString = 'io.k8s.apimachinery.pkg.util.intstr.IntOrString';
const objectMeta = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';

/**
 * The schemas of a pod template and of a pod's spec, from the API server itself: ARC's own definitions carry the same, so
 * that a misspelt field or a second container of one name is refused, and server-side apply merges by the same keys.
 */
export async function podSchemas(admin: Kube): Promise<{ template: Schema; spec: Schema }> {
  const document = await admin.call<{ components: { schemas: Record<string, OpenApi> } }>({
    method: 'GET',
    path: '/openapi/v3/api/v1',
  });
  const { schemas } = document.components;
  return {
    template: structural(schemas, ref(`${core}.PodTemplateSpec`)),
    spec: structural(schemas, ref(`${core}.PodSpec`)),
  };
}

function ref(name: string): OpenApi {
  return { $ref: `#/components/schemas/${name}` };
}

function structural(all: Record<string, OpenApi>, given: OpenApi): Schema {
  const name = (given.$ref ?? given.allOf?.[0]?.$ref)?.split('/').at(-1);
  if (name === quantity || name === intOrString) return { 'x-kubernetes-int-or-string': true };
  if (name === objectMeta) return embeddedMetadata;
  const from = name === undefined ? given : all[name];
  if (!from) throw new Error(`the API server describes no ${name}`);
  const schema: Schema = {};
  if (from.type) schema.type = from.type;
  if (from.format) schema.format = from.format;
  if (from.required) schema.required = from.required;
  if (from.properties)
    schema.properties = Object.fromEntries(
      Object.entries(from.properties).map(([key, child]) => [key, structural(all, child)]),
    );
  if (from.items) schema.items = structural(all, from.items);
  if (typeof from.additionalProperties === 'object')
    schema.additionalProperties = structural(all, from.additionalProperties);
  return { ...schema, ...mergeRules(all, given, from, schema) };
}

/**
 * How lists and maps merge. The keys of a list must be required or have a default; other defaults are left out, because a
 * custom resource would store them and every object would then differ from what was applied.
 */
function mergeRules(all: Record<string, OpenApi>, given: OpenApi, from: OpenApi, schema: Schema): Schema {
  const mapType = given['x-kubernetes-map-type'] ?? from['x-kubernetes-map-type'];
  if (mapType) return { 'x-kubernetes-map-type': mapType };
  const listType = given['x-kubernetes-list-type'];
  if (listType !== 'map') return listType ? { 'x-kubernetes-list-type': listType } : {};
  const keys = given['x-kubernetes-list-map-keys'] ?? [];
  const described = from.items && resolve(all, from.items);
  for (const key of keys) {
    const property = schema.items?.properties?.[key];
    if (!property || schema.items?.required?.includes(key)) continue;
    property.default = described?.properties?.[key]?.default ?? '';
  }
  return { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys };
}

function resolve(all: Record<string, OpenApi>, given: OpenApi): OpenApi | undefined {
  const name = (given.$ref ?? given.allOf?.[0]?.$ref)?.split('/').at(-1);
  return name === undefined ? given : all[name];
}

const strings: Schema = { type: 'object', additionalProperties: { type: 'string' } };
const embeddedMetadata: Schema = {
  type: 'object',
  properties: {
    name: { type: 'string' },
    namespace: { type: 'string' },
    labels: strings,
    annotations: strings,
    finalizers: { type: 'array', items: { type: 'string' } },
  },
};
