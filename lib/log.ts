import { format } from 'node:util';
import { pino, type Logger } from 'pino';
import { secretsIn } from '#lib/config/index.ts';
import { env } from '#lib/env.ts';
import { concealOwn, contextNow, traceId, valueWithoutSecrets } from '#lib/telemetry/index.ts';

let made: Logger | undefined;

/**
 * Made at first use, since a build has no configuration. Every line says of which request or pass it is, and no secret: what is
 * handed in is looked through, texts and all, before anything is written.
 */
export function log(): Logger {
  made ??= makeLog();
  return made;
}

function makeLog(): Logger {
  const settings = env();
  secretsIn(settings).forEach(concealOwn);
  return pino({
    name: 'flywheel',
    level: settings.LOG_LEVEL,
    mixin: () => ({ ...contextNow()?.fields, traceId: traceId() }),
    hooks: {
      logMethod(given, write) {
        write.apply(this, given.map(valueWithoutSecrets) as Parameters<typeof write>);
      },
    },
  });
}

type Level = 'debug' | 'info' | 'warn' | 'error';
const levels: Record<'debug' | 'log' | 'info' | 'warn' | 'error' | 'trace', Level> = {
  debug: 'debug',
  log: 'info',
  info: 'info',
  warn: 'warn',
  error: 'error',
  trace: 'debug',
};

/** What was said to the console. Looked through before it is one text, in which a value is broken over lines. */
function say(level: Level, said: readonly unknown[]): void {
  const errors = said.filter((each) => each instanceof Error);
  const rest = said.filter((each) => !(each instanceof Error)).map(valueWithoutSecrets);
  log()[level](errors.length > 0 ? { errors } : {}, rest.length > 0 ? format(...rest) : errors[0]?.message);
}

/**
 * From here on this process writes nothing but its log: what Next and Node say, and the last words of what nobody caught, are
 * lines of it like any other.
 */
export function writeOnlyLog(): void {
  for (const [method, level] of Object.entries(levels))
    Object.assign(console, { [method]: (...said: unknown[]) => say(level, said) });
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log().warn({ reason: warning.message }, warning.name));
  process.on('uncaughtException', (error) => {
    log().fatal({ reason: error.message, stack: error.stack }, 'the process ends by what nobody caught');
    process.exit(1);
  });
}
