// Keeps units running: a unit is a few processes that start, stop and fail together. One that fails is reported with the
// last lines of its log and started again, a few times; one that keeps failing is left alone and said to be down.
import { logTail, type Child } from '#sandbox/process.ts';

export interface Running {
  children: Record<string, Child & { logFile: string }>;
  stop(): Promise<void>;
}

export interface Unit {
  name: string;
  start(): Promise<Running>;
  /** Called after each start, the first one included. */
  onStarted?(): void;
  /** Called when it has failed too often. */
  onGivenUp?(): void;
}

const RESTARTS_MAX = 5;
const RESTARTS_WITHIN_MS = 5 * 60_000;

export class Supervisor {
  readonly #say: (line: string) => void;
  readonly #running = new Map<string, Running>();
  readonly #restarts = new Map<string, number[]>();
  #stopping = false;

  constructor(say: (line: string) => void) {
    this.#say = say;
  }

  /** Resolves when the unit has started; throws when its first start fails. */
  async add(unit: Unit): Promise<void> {
    const running = await unit.start();
    if (this.#stopping) return running.stop();
    this.#running.set(unit.name, running);
    unit.onStarted?.();
    for (const [name, child] of Object.entries(running.children)) {
      void child.exited.then((ending) => this.#onExit(unit, running, name, child.logFile, ending));
    }
  }

  async #onExit(unit: Unit, running: Running, name: string, logFile: string, ending: string): Promise<void> {
    if (this.#stopping || this.#running.get(unit.name) !== running) return;
    this.#running.delete(unit.name);
    this.#say(`${name} ended by itself (${ending}). The end of ${logFile}:\n${indent(logTail(logFile, 15))}`);
    await running.stop().catch(() => {});
    await this.#startAgain(unit);
  }

  async #startAgain(unit: Unit): Promise<void> {
    for (;;) {
      const recent = (this.#restarts.get(unit.name) ?? []).filter((at) => Date.now() - at < RESTARTS_WITHIN_MS);
      if (recent.length >= RESTARTS_MAX) {
        this.#say(`${unit.name} has failed ${RESTARTS_MAX} times and stays down.`);
        unit.onGivenUp?.();
        return;
      }
      this.#restarts.set(unit.name, [...recent, Date.now()]);
      await new Promise((resolve) => setTimeout(resolve, 1000 * (recent.length + 1)));
      if (this.#stopping) return;
      try {
        await this.add(unit);
        this.#say(`${unit.name} is running again.`);
        return;
      } catch (error) {
        this.#say(`${unit.name} did not start again: ${(error as Error).message}`);
      }
    }
  }

  /** Latest first, since what started later leans on what started before. */
  async stopAll(): Promise<void> {
    this.#stopping = true;
    for (const running of [...this.#running.values()].toReversed()) await running.stop();
    this.#running.clear();
  }
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
