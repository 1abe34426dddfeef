import type { Options } from './report.ts';
export async function nothingToDo(_options: Options): Promise<void> {}
