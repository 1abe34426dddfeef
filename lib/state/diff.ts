import { z } from 'zod';

/* What differs between two states, by resource. Values are never in it: a state says only of some of them that they are
   sensitive, and a provider's own secrets are often not among those. */

export type ChangedResource = {
  address: string;
  /** Paths of attributes whose values differ; of those that the state calls sensitive too. */
  attributes: { path: string; isSensitive: boolean }[];
  /** Attributes beyond those that are listed. */
  more: number;
};

export type StateDiff = {
  added: string[];
  removed: string[];
  changed: ChangedResource[];
  outputs: { added: string[]; removed: string[]; changed: string[] };
};

const attributesMost = 40;

const Instance = z.looseObject({
  index_key: z.union([z.string(), z.number()]).nullish(),
  deposed: z.string().nullish(),
  attributes: z.record(z.string(), z.unknown()).nullish(),
  attributes_flat: z.record(z.string(), z.unknown()).nullish(),
  sensitive_attributes: z.array(z.unknown()).nullish(),
});
const Resource = z.looseObject({
  module: z.string().nullish(),
  mode: z.string(),
  type: z.string(),
  name: z.string(),
  instances: z.array(Instance).default([]),
});
const State = z.looseObject({
  outputs: z.record(z.string(), z.unknown()).nullish(),
  resources: z.array(Resource).nullish(),
});
type Instance = z.infer<typeof Instance>;

/** An instance by the address under which plans name it, such as `module.a.aws_vpc.main["x"]`. */
function addressOf({ module, mode, type, name }: z.infer<typeof Resource>, { index_key, deposed }: Instance): string {
  const key = index_key === null || index_key === undefined ? '' : `[${JSON.stringify(index_key)}]`;
  const own = `${mode === 'data' ? 'data.' : ''}${type}.${name}${key}`;
  return `${module ? `${module}.` : ''}${own}${deposed ? ` (deposed ${deposed})` : ''}`;
}

type Read = { instances: Map<string, Instance>; outputs: Map<string, string> };

function read(state: string | null): Read {
  const { resources, outputs } = State.parse(state === null ? {} : (JSON.parse(state) as unknown));
  const instances = (resources ?? []).flatMap((resource) =>
    resource.instances.map((instance) => [addressOf(resource, instance), instance] as const),
  );
  return {
    instances: new Map(instances),
    outputs: new Map(Object.entries(outputs ?? {}).map(([name, value]) => [name, JSON.stringify(value)])),
  };
}

/** Two states of version 4, as text; null is a stack that was empty. Throws ZodError for what is none. */
export function stateDiff(before: string | null, after: string | null): StateDiff {
  const [old, now] = [read(before), read(after)];
  const changed = [...now.instances].flatMap(([address, instance]) => {
    const was = old.instances.get(address);
    const found = was ? changeOf(was, instance) : null;
    return found ? [{ address, ...found }] : [];
  });
  return {
    added: keysBeyond(now.instances, old.instances),
    removed: keysBeyond(old.instances, now.instances),
    changed,
    outputs: {
      added: keysBeyond(now.outputs, old.outputs),
      removed: keysBeyond(old.outputs, now.outputs),
      changed: [...now.outputs].flatMap(([name, value]) =>
        old.outputs.has(name) && old.outputs.get(name) !== value ? [name] : [],
      ),
    },
  };
}

function keysBeyond(all: ReadonlyMap<string, unknown>, known: ReadonlyMap<string, unknown>): string[] {
  return [...all.keys()].filter((key) => !known.has(key));
}

function changeOf(was: Instance, now: Instance): Omit<ChangedResource, 'address'> | null {
  const paths = [...differing(attributesOf(was), attributesOf(now), '')];
  if (paths.length === 0) return null;
  const sensitive = [...sensitivePaths(was), ...sensitivePaths(now)];
  const attributes = paths.slice(0, attributesMost).map((path) => ({
    path,
    isSensitive: sensitive.some((each) => isWithin(path, each)),
  }));
  return { attributes, more: paths.length - attributes.length };
}

function attributesOf({ attributes, attributes_flat }: Instance): Record<string, unknown> {
  return attributes ?? attributes_flat ?? {};
}

function isWithin(path: string, of: string): boolean {
  return (
    of === '' || path === of || path.startsWith(`${of}.`) || path.startsWith(`${of}[`) || of.startsWith(`${path}.`)
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function step(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  if (!/^[\w-]+$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

function* differing(was: unknown, now: unknown, path: string): Generator<string> {
  if (isObject(was) && isObject(now)) {
    for (const key of new Set([...Object.keys(was), ...Object.keys(now)]))
      yield* differing(was[key], now[key], step(path, key));
  } else if (Array.isArray(was) && Array.isArray(now) && was.length === now.length) {
    for (const [index, each] of now.entries()) yield* differing(was[index], each, step(path, index));
  } else if (JSON.stringify(was) !== JSON.stringify(now)) yield path;
}

const Step = z.union([
  z.object({ type: z.literal('get_attr'), value: z.string() }),
  z.object({ type: z.literal('index'), value: z.object({ value: z.union([z.string(), z.number()]) }) }),
]);

/** As `sensitive_attributes` has them: each a list of steps. What is in no known form hides all. */
function sensitivePaths({ sensitive_attributes }: Instance): string[] {
  return (sensitive_attributes ?? []).flatMap((each) => {
    const steps = z.array(Step).safeParse(each);
    if (!steps.success) return [''];
    return steps.data.reduce((path, { value }) => step(path, typeof value === 'object' ? value.value : value), '');
  });
}
