import type { Options } from './report.ts';
export async function memory(_options: Options): Promise<void> {}
