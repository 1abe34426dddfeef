// The real `tofu`, and the provider by which it speaks to Kubernetes, built once from their Go modules: neither the one's
// releases nor the other's registry need be in reach.
//
//   node sandbox/opentofu.ts build    builds both, showing how far they are, and prints where they are
import { execFile, spawnSync } from 'node:child_process';
import { copyFileSync, linkSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildGoProgram, type BuildOptions, goEnvironment, type GoProgram } from '#sandbox/go-build.ts';

const TOFU = 'github.com/opentofu/opentofu';
/** As the file VERSION of the module's commit says; its tags are of a major version that Go does not take for the module's own. */
export const kubernetesProviderVersion = '3.2.1';

// ---------------------------------------------------------------------------------------------------------- building

const tofu: GoProgram = {
  name: 'tofu',
  title: 'OpenTofu',
  source: fileURLToPath(new URL('./opentofu/', import.meta.url)),
  target: `${TOFU}/cmd/tofu`,
  // As its releases are: `dev` would say 1.12.6-dev to whoever asks.
  linkerFlags: `-X ${TOFU}/version.dev=no`,
};

const provider: GoProgram = {
  name: 'kubernetes-provider',
  title: 'OpenTofu’s provider for Kubernetes',
  source: fileURLToPath(new URL('./kubernetes-provider/', import.meta.url)),
  target: 'github.com/hashicorp/terraform-provider-kubernetes',
};

/** A few minutes of two cores the first time. */
export function buildTofu(options: BuildOptions = {}): Promise<string> {
  return buildGoProgram(tofu, options);
}

export function buildKubernetesProvider(options: BuildOptions = {}): Promise<string> {
  return buildGoProgram(provider, options);
}

// ---------------------------------------------------------------------------------------------------------- running

export interface TofuOptions {
  /** A folder of its own, with the configuration. */
  dir: string;
  /** `tofu`, or a Terraform that there is. */
  binary: string;
  /** From `mirrorOf`: where providers are taken from, and from nowhere else. */
  config?: string;
  env?: Record<string, string>;
}

export interface Ran {
  code: number;
  /** What it printed, both streams together. */
  output: string;
  stdout: string;
}

/** Runs one command without asking anything and without colour. `pid` is told as soon as it runs. */
export function runTofu(options: TofuOptions, args: string[], onPid?: (pid: number) => void): Promise<Ran> {
  const { dir, binary, config, env = {} } = options;
  const own = {
    HOME: dir,
    PATH: process.env['PATH'] ?? '',
    TF_IN_AUTOMATION: '1',
    TF_INPUT: '0',
    TF_CLI_ARGS: '-no-color',
    CHECKPOINT_DISABLE: '1',
    ...(config === undefined ? {} : { TF_CLI_CONFIG_FILE: config }),
    ...env,
  };
  return new Promise((done) => {
    const run = { cwd: dir, env: own as unknown as NodeJS.ProcessEnv, maxBuffer: 1e8 };
    const child = execFile(binary, args, run, (error, stdout, stderr) => {
      const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
      done({ code, output: `${stdout}\n${stderr}`, stdout });
    });
    if (child.pid !== undefined) onPid?.(child.pid);
  });
}

/** A folder that stands for the registry: what OpenTofu's own documentation calls a filesystem mirror. Returns the file that names it. */
export function mirrorOf(binary: string, dir: string): string {
  const host = spawnSync('go', ['env', 'GOOS', 'GOARCH'], { encoding: 'utf8', env: goEnvironment() });
  const platform = host.stdout.trim().split('\n').join('_');
  for (const registry of ['registry.opentofu.org', 'registry.terraform.io']) {
    const folder = join(dir, 'mirror', registry, 'hashicorp', 'kubernetes', kubernetesProviderVersion, platform);
    mkdirSync(folder, { recursive: true });
    placed(binary, join(folder, `terraform-provider-kubernetes_v${kubernetesProviderVersion}`));
  }
  const file = join(dir, 'mirror.tfrc');
  writeFileSync(
    file,
    `provider_installation {\n  filesystem_mirror {\n    path = ${JSON.stringify(join(dir, 'mirror'))}\n  }\n}\n`,
  );
  return file;
}

function placed(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch {
    // Another file system.
    copyFileSync(from, to);
  }
}

async function main([command]: string[]): Promise<void> {
  if (command !== 'build') throw new Error('Usage: node sandbox/opentofu.ts build');
  let last = 0;
  for (const [name, build] of [
    ['OpenTofu', buildTofu],
    ['Its provider for Kubernetes', buildKubernetesProvider],
  ] as const)
    console.log(
      await build({
        onProgress({ done, total }) {
          if (Date.now() - last < 10_000 && done < total) return;
          last = Date.now();
          console.log(
            total === 0 ? `${name}: fetching its Go modules …` : `${name}: ${done} of ${total} packages compiled`,
          );
        },
      }),
    );
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
