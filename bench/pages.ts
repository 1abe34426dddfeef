import type { Options } from './report.ts';
export async function pages(_options: Options): Promise<void> {}
