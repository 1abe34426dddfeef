import { pino, type Logger } from 'pino';
import { env } from '#lib/env.ts';

let made: Logger | undefined;

/** Made at first use, since a build has no configuration. Names that could hold a secret are cut out, wherever they are. */
export function log(): Logger {
  made ??= pino({
    name: 'flywheel',
    level: env().LOG_LEVEL,
    redact: {
      paths: ['token', 'secret', 'password', 'cookie', 'authorization', '*.token', '*.secret', '*.cookie'],
      censor: '[cut]',
    },
  });
  return made;
}
