/**
 * Text without what may be a secret in it: by the form that secrets have, by the word that stands before them, and by what
 * this process knows to be one. A secret may have any form, and a form may be no secret's: rather one word too many is cut.
 */

const cut = '[cut]';

type Rule = [pattern: RegExp, instead: string];

/** Of text that was a part of JSON the quotes are escaped; a value ends there, too. */
const rules: readonly Rule[] = [
  // PEM, whole or broken off, with line breaks as they are or as JSON has them.
  [/-----BEGIN [A-Z0-9 ]{1,40}-----(?:[A-Za-z0-9+/=:,\s-]|\\+[nr])*/g, cut],
  // The same in base64, as Kubernetes keeps it.
  [/\bLS0tLS1CRUdJTi[\w+/=]{20,}/g, cut],
  // Whoever is named in an address, and with which password.
  [/\b([a-z][a-z0-9+.-]{1,20}:\/\/)[^\s/?#"'<>\\]*@/gi, `$1${cut}@`],
  // A header that says who one is, to the end of its line or string.
  [
    /\b((?:proxy-)?authorization|(?:private|job|deploy|x-gitlab|x-vault)-token|x-api-key|set-cookie|cookie|x-hub-signature(?:-256)?|webhook-signature)(["'\\]*\s*[:=]\s*["'\\]*)[^"'\\\r\n]+/gi,
    `$1$2${cut}`,
  ],
  // What stands after a scheme of HTTP's.
  [/\b(bearer|basic|token)(\s+)(?=[^\s"']*[\dA-Z])[\w.~+/=-]{8,}/gi, `$1$2${cut}`],
  // `password=…`, `"client_secret":"…"`, `?code=…`.
  [
    /((?:^|[^\w-])[\w-]*(?:password|passwd|pwd|secret|token|api[_-]?key|private[_-]?key|code_verifier|assertion)["'\\]*\s*[:=]\s*["'\\]*)(?!\[cut\])[^\s"'\\,;&)}\]]+/gi,
    `$1${cut}`,
  ],
  [/([?&](?:code|state|sig|signature|key|jwt)=)[^\s"'\\&#]+/gi, `$1${cut}`],
  // GitHub, GitLab, Standard Webhooks, our own tokens; JWT and JWE.
  [/\b(?:gh[a-z]_|github_pat_|gl[a-z]{2,6}-|whsec_|whsk_|fw[a-z]_)[\w.+/=-]{10,}/g, cut],
  [/\beyJ[\w-]{8,}(?:\.[\w-]*){1,4}/g, cut],
  // 20 bytes in hexadecimal (Forgejo), 32 bytes in base64 (everything that we make ourselves).
  [/(?<![\w+/-])[0-9a-f]{40}(?![\w+/=-])/g, cut],
  [/(?<![\w+/-])(?=[\w-]*[A-Z])(?=[\w-]*[a-z])(?=[\w-]*\d)[\w-]{43}(?![\w+/=-])/g, cut],
  [/(?<![\w+/-])[\w+/]{43}=(?![\w+/=-])/g, cut],
];

/** What a secret is made of, where it is no sentence. */
const word = /[\w.+/~-]{8,}={0,2}/g;
/** What stands between the slashes of a path, and the dots of a name. */
const part = /[\w-]{8,}/g;

/** Words of these lengths or more; what stands around a secret in a sentence is no part of it. */
export function wordsOf(text: string): string[] {
  return (text.match(word) ?? []).map(bare).filter((each) => each.length >= 8);
}

function bare(text: string): string {
  return text.replace(/^[.=~/+-]+|[.=~/+-]+$/g, '');
}

export function scrubbed(text: string, isSecret: (word: string) => boolean = () => false): string {
  const shaped = rules.reduce((rest, [pattern, instead]) => rest.replace(pattern, instead), text);
  const known = (each: string) => (isSecret(bare(each)) ? cut : each);
  return shaped.replace(word, (each) => (known(each) === cut ? cut : each.replace(part, known)));
}

const secretName =
  /(?:^|[-_])(?:token|secret|password|passwd|cookie|authorization|private-key|api-key|signature)s?(?:-base64)?$/;

/** `accessToken`, `client_secret`, `Authorization`: whatever is in it is not told. */
export function isSecretName(name: string): boolean {
  return secretName.test(
    name
      .replaceAll(/([a-z\d])([A-Z])/g, '$1-$2')
      .replaceAll('_', '-')
      .toLowerCase(),
  );
}

const depthMost = 6;

/** The same of whatever is handed to the log: texts by what they say, and what has a secret's name as a whole. */
export function scrubbedValue(value: unknown, isSecret: (word: string) => boolean, depth = 0): unknown {
  if (typeof value === 'string') return scrubbed(value, isSecret);
  if (value instanceof Error) return scrubbedError(value, isSecret, depth);
  if (typeof value !== 'object' || value === null || value instanceof Date) return value;
  if (depth >= depthMost) return cut;
  if (Array.isArray(value)) return value.map((each) => scrubbedValue(each, isSecret, depth + 1));
  // What writes itself is written first, so that what it writes is looked at.
  const plain = 'toJSON' in value && typeof value.toJSON === 'function' ? (value.toJSON as () => unknown)() : value;
  if (typeof plain !== 'object' || plain === null) return scrubbedValue(plain, isSecret, depth + 1);
  return Object.fromEntries(
    Object.entries(plain).map(([key, each]) => [
      key,
      isSecretName(key) && (typeof each === 'string' || typeof each === 'object') && each !== null
        ? cut
        : scrubbedValue(each, isSecret, depth + 1),
    ]),
  );
}

function scrubbedError(error: Error, isSecret: (word: string) => boolean, depth: number): unknown {
  const { name, message, stack, cause } = error;
  const own = scrubbedValue(Object.assign({ name, message, stack }, error), isSecret, depth + 1) as object;
  return cause === undefined || depth >= depthMost ? own : { ...own, cause: scrubbedValue(cause, isSecret, depth + 1) };
}
