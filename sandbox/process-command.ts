import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './setup.mjs';

/** What `npm run web` or `npm run worker` gives to node: variables before it, flags and the file after it. */
export function processCommand(of: 'web' | 'worker'): { args: string[]; env: Record<string, string> } {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<typeof of, string>;
  };
  const words = scripts[of].split(' ');
  const place = words.indexOf('node');
  return {
    args: words.slice(place + 1),
    env: Object.fromEntries(words.slice(0, place).map((word) => word.split('=') as [string, string])),
  };
}
