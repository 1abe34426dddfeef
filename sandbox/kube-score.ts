// The real kube-score, which reads manifests and says what should be otherwise, built once from its Go module.
//
//   node sandbox/kube-score.ts build    builds it and prints where it is
import { fileURLToPath } from 'node:url';
import { buildGoProgram, type BuildOptions, type GoProgram } from '#sandbox/go-build.ts';

const program: GoProgram = {
  name: 'kube-score',
  title: 'kube-score',
  source: fileURLToPath(new URL('./kube-score/', import.meta.url)),
  target: 'github.com/zegl/kube-score/cmd/kube-score',
};

/** Less than a minute of two cores the first time. */
export function buildKubeScore(options: BuildOptions = {}): Promise<string> {
  return buildGoProgram(program, options);
}

if (import.meta.main) {
  if (process.argv[2] !== 'build') throw new Error('Usage: node sandbox/kube-score.ts build');
  console.log(await buildKubeScore());
}
