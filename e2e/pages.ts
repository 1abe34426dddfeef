import { globSync } from 'node:fs';
import { join } from 'node:path';

/** Every page that there is, found in the file system and not on a list, by its folder: `t/[tenant]/usage`. */
export const folders: readonly string[] = globSync('**/page.tsx', { cwd: join(import.meta.dirname, '..', 'app') })
  .map((file) => file.replace(/\/?page\.tsx$/, ''))
  .toSorted();

/** Its path, with what stands in brackets filled in. Throws on a bracket that nobody has filled: a new kind of page. */
export function pathOf(folder: string, params: Readonly<Record<string, string>>): string {
  const parts = folder.split('/').filter((part) => !part.startsWith('('));
  const filled = parts.map((part) => {
    const name = /^\[(.*)\]$/.exec(part)?.[1];
    if (name === undefined) return part;
    const value = params[name];
    if (value === undefined) throw new Error(`${folder}: nothing is known for [${name}]`);
    return value;
  });
  return `/${filled.join('/')}`;
}
