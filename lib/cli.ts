import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { parseAllDocuments, stringify } from 'yaml';
import { documentObjects } from './enrollment/document.ts';
import { AppError } from './errors.ts';

const usage = `flywheel render -f FILE    prints every Kubernetes object that the documents in FILE stand for ("-" reads standard input)`;

/** `flywheel`: what the portal knows, without the portal running. */
function main(args: string[]): void {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: { file: { type: 'string', short: 'f' }, help: { type: 'boolean', short: 'h' } },
  });
  if (values.help || positionals[0] !== 'render' || positionals.length > 1 || values.file === undefined) {
    process.stderr.write(`${usage}\n`);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  process.stdout.write(render(readFileSync(values.file === '-' ? 0 : values.file, 'utf8')));
}

function render(text: string): string {
  const documents = parseAllDocuments(text);
  const broken = documents.flatMap((document) => ('errors' in document ? document.errors : []))[0];
  if (broken)
    throw new AppError('invalid', {
      log: broken.message,
      screen: { happened: `The file is not YAML: ${broken.message}` },
    });
  const values = documents.map((document) => document.toJS() as unknown).filter((value) => value !== null);
  return (
    documentObjects(values)
      // Written out in full: an anchor where two fields have one value helps no reader.
      .map((object) => stringify(object, { aliasDuplicateObjects: false }))
      .join('---\n')
  );
}

try {
  main(process.argv.slice(2));
} catch (error) {
  const lines =
    error instanceof AppError
      ? [
          error.screen.happened,
          ...Object.entries(error.screen.fields ?? {}).map(([field, message]) => `  ${field}: ${message}`),
        ]
      : [String(error)];
  process.stderr.write(`${lines.join('\n')}\n`);
  process.exitCode = 1;
}
