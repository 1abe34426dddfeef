/** As controllers wait by default: DefaultTypedControllerRateLimiter of k8s.io/client-go, but for its longest, which is 1000 s. */
const failedMs = { first: 5, most: 30_000 };

/**
 * Keys to look at, each at most once at a time. A key that is added while it is looked at is looked at again. A look that
 * fails comes back later and later; one that says when comes back then.
 */
export class Queue {
  readonly #look: (key: string) => Promise<number | undefined>;
  readonly #report: (key: string, error: unknown) => void;
  readonly #atOnceMax: number;
  readonly #waiting = new Set<string>();
  readonly #underway = new Map<string, Promise<void>>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #started = false;
  #stopped = false;

  /** `look` returns the milliseconds until the next look, or undefined when only a change should bring one. */
  constructor(
    look: (key: string) => Promise<number | undefined>,
    report: (key: string, error: unknown) => void,
    atOnceMax = 8,
  ) {
    this.#look = look;
    this.#report = report;
    this.#atOnceMax = atOnceMax;
  }

  add(key: string): void {
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(key));
    this.#timers.delete(key);
    this.#waiting.add(key);
    this.#pump();
  }

  /** Until then keys are only collected. */
  start(): void {
    this.#started = true;
    this.#pump();
  }

  addLater(key: string, ms: number): void {
    if (this.#stopped) return;
    clearTimeout(this.#timers.get(key));
    this.#timers.set(
      key,
      setTimeout(() => this.add(key), ms),
    );
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#waiting.clear();
    await Promise.all(this.#underway.values());
  }

  #pump(): void {
    if (!this.#started) return;
    for (const key of this.#waiting) {
      if (this.#underway.size >= this.#atOnceMax) return;
      if (this.#underway.has(key)) continue;
      this.#waiting.delete(key);
      this.#underway.set(key, this.#run(key));
    }
  }

  async #run(key: string): Promise<void> {
    try {
      const againMs = await this.#look(key);
      this.#failures.delete(key);
      if (againMs !== undefined && !this.#waiting.has(key)) this.addLater(key, againMs);
    } catch (error) {
      const failures = (this.#failures.get(key) ?? 0) + 1;
      this.#failures.set(key, failures);
      if (!this.#stopped) this.#report(key, error);
      if (!this.#waiting.has(key)) this.addLater(key, Math.min(failedMs.most, failedMs.first * 2 ** (failures - 1)));
    } finally {
      this.#underway.delete(key);
      this.#pump();
    }
  }
}
