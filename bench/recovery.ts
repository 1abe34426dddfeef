import type { Options } from './report.ts';
export async function recovery(_options: Options): Promise<void> {}
