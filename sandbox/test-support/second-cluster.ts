// Another cluster than the one that all tests share: an API server of its own, with the stand-in for ARC, for tests of several.
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startArc } from '#sandbox/arc/index.ts';
import { buildControlPlane, startControlPlane } from '#sandbox/control-plane.ts';
import { startRunners } from '#sandbox/runners/index.ts';

export interface SecondCluster extends AsyncDisposable {
  kubeconfigPath: string;
  portalKubeconfigPath: string;
  /** As an operator mounts it: the folder of kubeconfigs, the file and the context. */
  folder: string;
  way: { kubeconfig: string; context: string };
}

/** Call it before anything reads the configuration: FLYWHEEL_CLUSTERS_DIR is set to the folder. */
export async function startSecondCluster(): Promise<SecondCluster> {
  const top = mkdtempSync(join(tmpdir(), 'flywheel-second-'));
  const folder = join(top, 'clusters');
  mkdirSync(folder);
  process.env['FLYWHEEL_CLUSTERS_DIR'] = folder;
  const binary = await buildControlPlane();
  const controlPlane = await startControlPlane({ dataDir: join(top, 'control-plane'), binary, keepData: false });
  copyFileSync(controlPlane.portalKubeconfigPath, join(folder, 'east.yaml'));
  const { kubeconfigPath, portalKubeconfigPath } = controlPlane;
  const onError = (kind: string, key: string, error: unknown) =>
    process.env['ARC_LOG'] && console.error('east', kind, key, error);
  const quick = { kubeconfig: kubeconfigPath, jobSeconds: 1, onError };
  const arc = await startArc({ ...quick, waitScale: 0.1 });
  const runners = await startRunners({ ...quick, waitScale: 0.05, onError: () => undefined });
  return {
    kubeconfigPath,
    portalKubeconfigPath,
    folder,
    way: { kubeconfig: 'east.yaml', context: 'sandbox' },
    async [Symbol.asyncDispose]() {
      await Promise.all([arc.stop(), runners.stop()]);
      await controlPlane.stop();
      rmSync(top, { recursive: true, force: true });
    },
  };
}
