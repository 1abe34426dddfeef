/**
 * P10: the JavaScript of each page's first load, gzip, as the production build's own manifests list it: what every page
 * starts with, and what its layouts, its error pages and itself are made of. Polyfills are left out: browsers that know
 * modules do not fetch them. The peer is Headlamp, which loads the same files on every page.
 */
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { ROOT } from '#sandbox/setup.mjs';
import { buildWeb, isBuilt } from '#sandbox/web-build.ts';
import { median, print, rounded, say } from './report.ts';

/** Measured in August 2026: five files. */
const headlampKilobytes = 1900;
const built = join(ROOT, '.next');

export async function pages(): Promise<void> {
  if (!isBuilt()) {
    say('building the portal (next build) …');
    await buildWeb(join(built, 'bench-build.log'), process.env);
  }
  const found = firstLoads();
  if (found.length === 0) throw new Error('the build has no pages');
  for (const { route, kilobytes, files } of found)
    say(`P10 ${kilobytes.toFixed(1).padStart(6)} KB in ${String(files).padStart(2)} files  ${route}`);
  const largest = found.reduce((most, each) => (each.kilobytes > most.kilobytes ? each : most));
  print({
    metric: 'P10',
    ours: rounded(largest.kilobytes, 4),
    peer: headlampKilobytes,
    ratio: rounded(largest.kilobytes / headlampKilobytes),
    unit: 'KB',
    requests: { ours: largest.files, peer: 5 },
    route: largest.route,
    median: rounded(median(found.map((each) => each.kilobytes)), 4),
    pages: found.length,
    runs: 1,
  });
}

type FirstLoad = { route: string; kilobytes: number; files: number };

function firstLoads(): FirstLoad[] {
  const manifests = globSync('server/app/**/page_client-reference-manifest.js', { cwd: built });
  return manifests
    .flatMap((file) => Object.entries(referencesIn(join(built, file))))
    .filter(([entry]) => !entry.startsWith('/_'))
    .map(([entry, { entryJSFiles }]) => {
      const files = new Set([...rootFiles(), ...Object.values(entryJSFiles).flat()]);
      const bytes = [...files].reduce((sum, file) => sum + gzipped(file), 0);
      return { route: routeOf(entry), kilobytes: bytes / 1000, files: files.size };
    })
    .toSorted((a, b) => b.kilobytes - a.kilobytes);
}

type References = Record<string, { entryJSFiles: Record<string, string[]> }>;

/** The manifest is a script that assigns to a global. */
function referencesIn(file: string): References {
  const scope: { __RSC_MANIFEST: References; globalThis?: unknown } = { __RSC_MANIFEST: {} };
  scope.globalThis = scope;
  runInNewContext(readFileSync(file, 'utf8'), scope);
  return scope.__RSC_MANIFEST;
}

function rootFiles(): string[] {
  return (JSON.parse(readFileSync(join(built, 'build-manifest.json'), 'utf8')) as { rootMainFiles: string[] })
    .rootMainFiles;
}

/** `/(person)/enroll/page` is reached at `/enroll`. */
function routeOf(entry: string): string {
  const route = entry.replace(/\/page$/, '').replaceAll(/\/\([^)]*\)/g, '');
  return route === '' ? '/' : route;
}

const sizes = new Map<string, number>();

function gzipped(file: string): number {
  const known = sizes.get(file);
  if (known !== undefined) return known;
  const path = join(built, file);
  const size = existsSync(path) && file.endsWith('.js') ? gzipSync(readFileSync(path)).length : 0;
  sizes.set(file, size);
  return size;
}
