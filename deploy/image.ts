// The files of the container image, and nothing besides: what web, worker and migrations run from. The Containerfile assembles
// them by this, and image.db.test.ts starts all three from what it assembled.
//
//   node deploy/image.ts FOLDER     from this checkout, whose client is generated and whose pages are built
import { cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { basename, join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** The guide's pages are read as they stand, the migrations to know whether all are applied. */
const wanted = [
  'package.json',
  'next.config.mjs',
  '.next',
  'lib',
  'public',
  'docs',
  'prisma/migrate.ts',
  'prisma/skew.ts',
  'prisma/schema.prisma',
  'prisma/migrations',
];

const unwanted = [
  // What the builder keeps for the next build, and types.
  /^\.next\/(cache|dev|types|diagnostics|trace|trace-build)(\/|$)/,
  /^\.next\/server\/.*\.map$/,
  // By their own names; a folder of fixtures is loaded by tests alone.
  /\.test\.tsx?$/,
  /(^|\/)(fixtures|__snapshots__)(\/|$)/,
  /^lib\/forge\/contract-[^/]*$/,
  /^docs\/decisions(\/|$)/,
];

/** Packages that never run here: Node itself, which the base image has, compilers, and the decoder of pictures that we do not use. */
const unneeded = [/^node$/, /^node-bin-/, /^@next\/swc-/, /^sharp$/, /^@img\//, /^@?typescript(\/|$)/, /^@types\//];
/** Prisma brings its query compiler for each database, Next its renderers for development. */
const otherKinds =
  /\/@prisma\/client\/runtime\/[^/]*(mysql|sqlite|sqlserver|cockroachdb)[^/]*$|\/compiled\/next-server\/[^/]*\.dev\.js$/;

type Lock = { packages: Record<string, { dev?: boolean; devOptional?: boolean }> };

/** The folders of packages that production needs, as the lock file has them. */
export function productionPackages(lock: Lock, isThere: (path: string) => boolean): string[] {
  return Object.entries(lock.packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true && isThere(path))
    .map(([path]) => path)
    .filter((path) => !unneeded.some((each) => each.test(path.slice(path.lastIndexOf('node_modules/') + 13))));
}

/** A link stays one: what .next refers to is in the image, not in this checkout. */
const whole = { recursive: true, verbatimSymlinks: true } as const;

/** A package's own files: what is in its own node_modules is in the lock file by itself. */
function copyPackage(path: string, to: string): void {
  cpSync(join(root, path), join(to, path), {
    ...whole,
    filter: (from) => {
      const within = relative(join(root, path), from).split(sep);
      const isTypes = /\.(d\.[cm]?ts|map)$/.test(basename(from));
      return within[0] !== 'node_modules' && !isTypes && !otherKinds.test(from);
    },
  });
}

export function assemble(to: string): void {
  if (!existsSync(join(root, '.next/BUILD_ID'))) throw new Error('The pages are not built: npm run build');
  mkdirSync(to, { recursive: true });
  for (const path of wanted)
    cpSync(join(root, path), join(to, path), {
      ...whole,
      filter: (from) => {
        const within = relative(root, from).split(sep).join('/');
        return !unwanted.some((each) => each.test(within));
      },
    });
  const lock = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
  for (const path of productionPackages(lock, (each) => existsSync(join(root, each)))) copyPackage(path, to);
}

if (import.meta.main) {
  const to = process.argv[2];
  if (to === undefined) throw new Error('Usage: node deploy/image.ts FOLDER');
  assemble(to);
}
