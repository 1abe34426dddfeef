/**
 * Configuration: which settings there are, what each means, and what is wrong with those that were given.
 *
 * It promises one schema (keys.ts), which says of each setting what it does, its default and an example; that the environment
 * wins over the file; and that no message and no page names the value of a secret. It reads the one file and the secrets' files
 * that it is told of. It does not read the environment: lib/env.ts does, alone, and hands it in.
 */
export { configCommand, configUsage, type CommandAnswer } from './command.ts';
export { problemLines, type Problem } from './gather.ts';
export { secretsIn, type Env } from './keys.ts';
export { productionProblems } from './production.ts';
export { settingsOf, type Settings } from './settings.ts';
