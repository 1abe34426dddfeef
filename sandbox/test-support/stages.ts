// The stages of `npm test`. All of them run, whatever fails; the last line sums up tests and checks alike.
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureChromium } from '#sandbox/chromium.ts';
import { buildControlPlane, progressLine, type Progress } from '#sandbox/control-plane.ts';
import { buildGitea } from '#sandbox/gitea.ts';
import { buildKubeScore } from '#sandbox/kube-score.ts';
import { buildKubernetesProvider, buildTofu } from '#sandbox/opentofu.ts';
import { freePort } from '#sandbox/process.ts';
import { ROOT } from '#sandbox/setup.mjs';
import { buildWeb, isBuilt } from '#sandbox/web-build.ts';

interface Result {
  passed: number;
  failed: number;
  skipped?: number;
}

interface Stage {
  name: string;
  needs?: Need[];
  /** Begun beside it; whichever test needs it waits by itself, and the others do not. */
  begins?: Need[];
  run(): Promise<Result>;
}

type Need = 'control plane' | 'gitea' | 'opentofu' | 'kube-score' | 'chromium';

const RESULTS = join(ROOT, '.sandbox', 'test');
const BIN = join(ROOT, 'node_modules', '.bin');

const STAGES: Stage[] = [
  { name: 'format', run: () => check('oxfmt', ['--check', '.']) },
  { name: 'lint', run: () => check('oxlint', ['--type-aware']) },
  { name: 'types', run: checkTypes },
  { name: 'migrations', run: () => check('node', ['prisma/migrate.ts', 'check']) },
  { name: 'unit', run: () => vitest('unit') },
  { name: 'build', run: buildPortal },
  {
    name: 'integration',
    needs: ['control plane', 'gitea'],
    begins: ['opentofu', 'kube-score'],
    run: () => vitest('integration'),
  },
  { name: 'e2e', needs: ['control plane', 'gitea', 'chromium'], run: playwright },
];

/** The routes' types come from Next, which writes them as it starts or builds. */
async function checkTypes(): Promise<Result> {
  const routes = await check('next', ['typegen']);
  return routes.failed ? routes : check('tsc', ['--noEmit']);
}

async function buildPortal(): Promise<Result> {
  if (isBuilt()) return { passed: 1, failed: 0 };
  try {
    await buildWeb(join(RESULTS, 'build.log'), process.env);
    return { passed: 1, failed: 0 };
  } catch (error) {
    console.log((error as Error).message);
    return { passed: 0, failed: 1 };
  }
}

interface VitestReport {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  testResults: { status: string; assertionResults: { status: string }[] }[];
}

async function vitest(project: string): Promise<Result> {
  const file = join(RESULTS, `${project}.json`);
  rmSync(file, { force: true });
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${file}`];
  const code = await live('vitest', ['run', '--project', project, '--passWithNoTests', ...reporters]);
  const report = readReport<VitestReport>(file);
  if (!report) return { passed: 0, failed: code === 0 ? 0 : 1 };
  // A file that cannot even be loaded has no tests to count, but it is a failure.
  const unloadable = report.testResults.filter(
    ({ status, assertionResults }) => status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
  ).length;
  const failed = report.numFailedTests + unloadable;
  return {
    passed: report.numPassedTests,
    failed: failed || (code === 0 ? 0 : 1),
    skipped: report.numPendingTests,
  };
}

interface PlaywrightReport {
  stats: { expected: number; unexpected: number; flaky: number; skipped: number };
}

async function playwright(): Promise<Result> {
  if (!existsSync(join(ROOT, 'e2e'))) return { passed: 0, failed: 0 };
  const file = join(RESULTS, 'e2e.json');
  rmSync(file, { force: true });
  const port = String(await freePort(3100));
  const code = await live('playwright', ['test', '--pass-with-no-tests'], {
    FLYWHEEL_E2E_PORT: port,
    FLYWHEEL_E2E_JSON: file,
  });
  const stats = readReport<PlaywrightReport>(file)?.stats;
  if (!stats) return { passed: 0, failed: code === 0 ? 0 : 1 };
  const failed = stats.unexpected + stats.flaky;
  return { passed: stats.expected, failed: failed || (code === 0 ? 0 : 1), skipped: stats.skipped };
}

function readReport<T>(file: string): T | undefined {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as T) : undefined;
}

/** What is running now, to be ended with us. */
let current: ChildProcess | undefined;

/** One thing that is right or not; what it says is shown when it is not. */
function check(tool: string, args: string[]): Promise<Result> {
  return new Promise((done) => {
    let output = '';
    const child = spawn(join(BIN, tool), args, { cwd: ROOT, env: withOurNode({}), stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
    current = child;
    child.on('error', (error) => done(report(error.message)));
    child.on('close', (code) => done(code === 0 ? { passed: 1, failed: 0 } : report(output)));
  });
}

function report(output: string): Result {
  console.log(output.trimEnd());
  return { passed: 0, failed: 1 };
}

function live(tool: string, args: string[], env: Record<string, string> = {}): Promise<number> {
  return new Promise((done) => {
    const child = spawn(join(BIN, tool), args, {
      cwd: ROOT,
      env: withOurNode(env),
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    current = child;
    child.on('error', () => done(1));
    child.on('exit', (code) => done(code ?? 1));
  });
}

/** The tools' scripts begin with `env node`, which must find ours. */
function withOurNode(env: Record<string, string>): NodeJS.ProcessEnv {
  return { ...process.env, ...env, PATH: `${BIN}:${process.env['PATH'] ?? ''}` };
}

// What takes long and disturbs nobody begins at once, beside the stages that do not need it.
const PREPARE: Record<Need, () => Promise<unknown>> = {
  'control plane': () => buildControlPlane({ onProgress: sayNowAndThen }),
  gitea: () => buildGitea(),
  // After those that more waits for: so many compilations at once would each take as many times as long.
  'kube-score': async () => {
    await Promise.allSettled([buildControlPlane(), buildGitea()]);
    await buildKubeScore();
  },
  opentofu: async () => {
    await Promise.allSettled([buildControlPlane(), buildGitea()]);
    await buildTofu();
    await buildKubernetesProvider();
  },
  chromium: () => ensureChromium(console.log),
};

let lastProgress = Date.now();

function sayNowAndThen(progress: Progress): void {
  if (Date.now() - lastProgress < 30_000) return;
  lastProgress = Date.now();
  console.log(progressLine(progress));
}

function prepare(stages: Stage[]): Map<Need, Promise<Error | undefined>> {
  const needs = new Set(stages.flatMap(({ needs = [], begins = [] }) => [...needs, ...begins]));
  const begin = (need: Need) =>
    PREPARE[need]()
      .then(() => undefined)
      .catch((error: Error) => error);
  return new Map([...needs].map((need) => [need, begin(need)]));
}

async function runStage(stage: Stage, prepared: Map<Need, Promise<Error | undefined>>): Promise<Result> {
  console.log(`\n━━ ${stage.name}`);
  for (const need of stage.needs ?? []) {
    const error = await prepared.get(need);
    if (error) console.log(`${need}: ${error.message}`);
  }
  const began = Date.now();
  const result = await stage.run();
  const skipped = result.skipped ? `, ${result.skipped} skipped` : '';
  const seconds = ((Date.now() - began) / 1000).toFixed(1);
  console.log(
    `${result.failed ? '✗' : '✓'} ${stage.name}: ${result.passed} passed, ${result.failed} failed${skipped} (${seconds} s)`,
  );
  return result;
}

async function main(chosen: string[]): Promise<void> {
  const unknown = chosen.filter((name) => !STAGES.some((stage) => stage.name === name));
  if (unknown.length)
    throw new Error(`No such stage: ${unknown.join(', ')}. There are: ${STAGES.map((s) => s.name).join(', ')}`);
  const stages = chosen.length ? STAGES.filter((stage) => chosen.includes(stage.name)) : STAGES;
  mkdirSync(RESULTS, { recursive: true });
  const prepared = prepare(stages);
  const results: [string, Result][] = [];
  for (const stage of stages) results.push([stage.name, await runStage(stage, prepared)]);
  const sum = (key: 'passed' | 'failed') => results.reduce((total, [, result]) => total + result[key], 0);
  console.log(`\n${results.map(([name, result]) => `${result.failed ? '✗' : '✓'} ${name}`).join('   ')}\n`);
  console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
  process.exitCode = sum('failed') ? 1 : 0;
}

function leave(): void {
  current?.kill('SIGTERM');
  process.exit(130);
}

process.on('disconnect', leave);
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, leave);

try {
  await main(process.argv.slice(2));
} catch (error) {
  console.log((error as Error).message);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
// Nothing that is still being prepared may hold us up.
process.exit();
