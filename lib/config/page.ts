import { aboutKey, defaultOf, keys, sections, type About, type Key } from './keys.ts';

/** docs/configuration.md: every setting, from the schema alone. */
export function configurationPage(): string {
  const parts = Object.entries(sections).map(([section, title]) => {
    const own = keys.filter((key) => aboutKey(key).section === section);
    return [`## ${title}`, ...own.map(setting)].join('\n\n');
  });
  return `${[head(), ...parts].join('\n\n')}\n`;
}

function head(): string {
  return `# Configuration

Written from the schema by \`npm run -s flywheel -- config docs\`; a test holds that it is current.

Each setting has one name. It is given in the environment or in one file of YAML, whose path \`FLYWHEEL_CONFIG\` or \`--config FILE\`
names; the environment wins. In the file a list is a list of YAML and a flag is \`true\` or \`false\`. A secret may be given as a file,
as Kubernetes mounts them: \`<NAME>_FILE\` is its path, from the folder of the file that names it, or from the one that the process
runs in. All of it is read when a process starts.

\`\`\`yaml
${example()}
\`\`\`

\`\`\`sh
npm run -s flywheel -- config check --config flywheel.yaml   # exit 0, or 1 and every mistake, or 2 where the file cannot be read
npm run -s flywheel -- config print --config flywheel.yaml   # what counts and where it comes from, secrets hidden
\`\`\`

The check takes what it is given for production's, and shows no secret.`;
}

/** What production needs, secrets as files, as the file would have it. */
function example(): string {
  return keys
    .filter((key) => aboutKey(key).needed === 'production')
    .map((key) => {
      const { kind, secret, example: value } = aboutKey(key);
      if (secret) return `${key}_FILE: /run/secrets/${key.toLowerCase().replaceAll('_', '-')}`;
      return kind === 'list' ? `${key}: [${value.split(', ').map(quoted).join(', ')}]` : `${key}: ${value}`;
    })
    .join('\n');
}

/** Such as `github:1005`, which a reader of YAML may take for a number in base sixty. */
function quoted(text: string): string {
  return `'${text}'`;
}

function setting(key: Key): string {
  const described = aboutKey(key);
  const facts = [
    `Default: ${inCode(defaultOf(key), described)}${neededWords(described)}`,
    `Example: ${inCode(described.example, {})}`,
    ...(described.secret ? [`A secret: \`${key}_FILE\` may name a file in its place`] : []),
  ];
  return `### \`${key}\`\n\n${described.does}\n\n${facts.map((fact) => `- ${fact}`).join('\n')}`;
}

function inCode(text: string | null, { kind }: Pick<About, 'kind'>): string {
  if (text === null) return 'none';
  return kind === 'flag' ? `\`${text}\`, which is \`${text === '1'}\` in the file` : `\`${text}\``;
}

function neededWords({ needed }: About): string {
  if (needed === undefined) return '';
  return needed === 'production' ? '. Production needs it' : '. `npm run migrate` needs it';
}
