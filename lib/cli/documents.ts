import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { invalidFields } from '../errors.ts';
import { FlywheelDocument, type EnrollmentDocument, type TenantDocument } from '../model/index.ts';
import { yamlValues } from './local.ts';
import { printable, UsageError, type Terminal } from './terminal.ts';

/* Documents from files, folders and standard input: what the portal is to have. */

export type Documents = { tenants: TenantDocument[]; enrollments: EnrollmentDocument[] };

/** An option of every command that takes them. */
export const filesOption = {
  type: 'string',
  short: 'f',
  multiple: true,
  value: 'FILE',
  says: 'documents: a file, a folder with all below it, or "-" for standard input; may be repeated',
} as const;

export type Source = { file: string; text: string; isNamed: boolean };

export async function readSources(terminal: Terminal, files: readonly string[] | undefined): Promise<Source[]> {
  if (files === undefined || files.length === 0) throw new UsageError('-f is missing.');
  const sources: Source[] = [];
  for (const file of files)
    if (file === '-') sources.push({ file, text: await terminal.readIn(), isNamed: true });
    else
      sources.push(
        ...filesOf(file).map((each) => ({ file: each, text: readFileSync(each, 'utf8'), isNamed: each === file })),
      );
  return sources;
}

/** What operators import, and nobody applies. */
const operators = new Set(['Cluster', 'Pool', 'RateCard', 'Forge', 'CacheServer']);

/** Throws where one does not fit, or two are of one thing. What is the operators' is passed over in words. */
export async function readDocuments(terminal: Terminal, files: readonly string[] | undefined): Promise<Documents> {
  const sources = await readSources(terminal, files);
  const passed: string[] = [];
  const documents = sources.flatMap((source) => documentsOf(source, passed));
  refuseTwice(documents);
  if (passed.length > 0)
    terminal.err(`Passed over, since they are the operators’ to import: ${passed.map(printable).join(', ')}.\n`);
  return {
    tenants: documents.filter((each) => each.kind === 'Tenant'),
    enrollments: documents.filter((each) => each.kind === 'Enrollment'),
  };
}

function filesOf(path: string): string[] {
  if (!statSync(path, { throwIfNoEntry: false })) throw new UsageError(`There is no ${printable(path)}.`);
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .toSorted((a, b) => a.name.localeCompare(b.name))
    .flatMap((entry) => {
      if (entry.name.startsWith('.')) return [];
      const inner = join(path, entry.name);
      if (entry.isDirectory()) return filesOf(inner);
      return /\.(?:ya?ml|json)$/.test(entry.name) ? [inner] : [];
    });
}

function documentsOf({ file, text, isNamed }: Source, passed: string[]): FlywheelDocument[] {
  return yamlValues(text, file).flatMap((value, index) => {
    // A folder may hold other programs' files; one that was named is meant.
    if (!isNamed && !isOurs(value)) return [];
    const { kind, metadata } = value as { kind?: unknown; metadata?: { name?: unknown } };
    if (isOurs(value) && operators.has(String(kind))) {
      passed.push(`${String(kind)}/${String(metadata?.name)}`);
      return [];
    }
    const result = FlywheelDocument.safeParse(value);
    if (result.success) return [result.data];
    const where = `document ${index + 1} of ${file === '-' ? 'standard input' : file}`;
    const fields = result.error.issues.map(({ path, message }) => [`${where}: ${path.join('.')}`, message]);
    throw invalidFields(Object.fromEntries(fields) as Record<string, string>, 'A document does not fit its schema.');
  });
}

function isOurs(value: unknown): boolean {
  const { apiVersion } = (value ?? {}) as { apiVersion?: unknown };
  return typeof apiVersion === 'string' && apiVersion.startsWith('flywheel/');
}

export function keyOf(document: FlywheelDocument): string {
  const { kind, metadata } = document;
  return 'tenant' in metadata ? `${kind}/${metadata.tenant}/${metadata.name}` : `${kind}/${metadata.name}`;
}

function refuseTwice(documents: readonly FlywheelDocument[]): void {
  const keys = documents.map(keyOf);
  const twice = keys.find((key, at) => keys.indexOf(key) !== at);
  if (twice !== undefined) throw invalidFields({ [twice]: 'is there more than once' }, 'The documents do not agree.');
}
