import { invalidFields } from '#lib/errors.ts';
import { Reference, referenceKey } from '#lib/model/index.ts';

/* Where a document refers to a value, the value that came beside it. */

const refused = 'is written as { file: … } or { env: … }: no secret stands in a document';

type Fields = Record<string, unknown>;
/** Which fields of a kind are secrets, and which may stand in the document or in a file beside it. */
export type Referring = { secret: readonly string[]; plain?: readonly string[] };

/** The spec with values in the place of references. Throws where a secret stands in it, or a value was not given. */
export function resolved(
  spec: Fields,
  { secret, plain = [] }: Referring,
  given: Readonly<Record<string, string>>,
): Fields {
  const problems: Record<string, string> = {};
  const entries = Object.entries(spec).map(([field, value]): [string, unknown] => {
    const isSecret = secret.includes(field);
    if (!isSecret && !plain.includes(field)) return [field, value];
    const { data } = Reference.safeParse(value);
    if (!data) {
      if (isSecret) problems[field] = refused;
      return [field, value];
    }
    const key = referenceKey(data);
    const found = Object.hasOwn(given, key) ? given[key] : undefined;
    if (found === undefined) problems[field] = `refers to ${key.replace(':', ' ')}, which was not given`;
    return [field, found];
  });
  if (Object.keys(problems).length > 0) throw invalidFields(problems);
  return Object.fromEntries(entries);
}
