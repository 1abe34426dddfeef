import type { ClusterSeen, ForgeSeen, StatusFacts } from './facts.ts';

/*
 * What of it needs somebody: each part as it is, in words, by limits that are said beside it. Where an alert says the same
 * (deploy/observability/alerts.yaml), it has the same limit.
 */

export type State = 'ok' | 'attention' | 'broken';

export const areas = [
  'processes',
  'queue',
  'failing',
  'clusters',
  'metering',
  'forges',
  'webhooks',
  'database',
] as const;
export type Area = (typeof areas)[number];

export type Check = {
  area: Area;
  /** What it is about within its area, as people call it; and its id, where two may be called alike. */
  subject: string | null;
  id: string | null;
  state: State;
  /** What is seen. */
  words: string;
  /** What somebody does about it; null where nothing is to be done. */
  todo: string | null;
};

const minute = 60;
const hour = 60 * minute;
export const limits = {
  /** A process writes every five seconds. */
  silentSeconds: 20,
  /** One that died is told of for so long. */
  diedSeconds: hour,
  workerMemoryBytes: 300e6,
  queueAttentionSeconds: minute,
  queueBrokenSeconds: 10 * minute,
  /** Of all enrollments. */
  failingBrokenShare: 0.5,
  awayBrokenSeconds: 5 * minute,
  /** Of one worker alone; a request that fails once is tried again before. */
  cutOffSeconds: minute,
  /** A watch of a cluster begins anew every four minutes, so that a cluster that is there has answered since. */
  unheardSeconds: 6 * minute,
  /** Each enrollment is looked at every ten minutes, and its forge with it. */
  unaskedSeconds: 30 * minute,
  meteringAttentionSeconds: 2 * minute,
  meteringBrokenSeconds: 10 * minute,
  allowanceAttentionShare: 0.1,
  overdueSeconds: 5 * minute,
  unsentSeconds: 2 * hour,
  answerAttentionMs: 200,
  connectionsAttentionShare: 0.8,
  connectionsBrokenShare: 0.95,
} as const;

export type Judged = { state: State; checks: Check[] };

export function judge(facts: StatusFacts): Judged {
  const checks = [
    ...processes(facts),
    queue(facts),
    failing(facts),
    ...facts.clusters.map((each) => cluster(each, Date.parse(facts.at))),
    ...facts.clusters.flatMap(metering),
    ...facts.forges.map((each) => forge(each, Date.parse(facts.at))),
    webhooks(facts),
    ...database(facts),
  ];
  return { state: worst(checks), checks };
}

export function worst(checks: readonly Check[]): State {
  if (checks.some(({ state }) => state === 'broken')) return 'broken';
  return checks.some(({ state }) => state === 'attention') ? 'attention' : 'ok';
}

type Found = Omit<Check, 'area' | 'subject' | 'id'>;
const fine = (words: string): Found => ({ state: 'ok', words, todo: null });
const attention = (words: string, todo: string): Found => ({ state: 'attention', words, todo });
const broken = (words: string, todo: string): Found => ({ state: 'broken', words, todo });

function about(area: Area, found: Found, subject: string | null = null, id: string | null = null): Check {
  return { area, subject, id, ...found };
}

/** `2 workers`, `1 worker`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** Seconds as a person says them. */
export function lasting(seconds: number): string {
  if (seconds < minute) return `${Math.round(seconds)} s`;
  if (seconds < 2 * hour) return `${Math.round(seconds / minute)} min`;
  return seconds < 48 * hour ? `${Math.round(seconds / hour)} h` : `${Math.round(seconds / hour / 24)} days`;
}

// ------------------------------------------------------------------------------------------------ the portal itself

/** Whether a process that told of itself goes on doing so. */
export function works({ isStopped, silentSeconds }: StatusFacts['processes'][number]): boolean {
  return !isStopped && silentSeconds <= limits.silentSeconds;
}

function processes({ processes: all }: StatusFacts): Check[] {
  const workers = all.filter((each) => each.kind === 'worker' && works(each));
  const died = all.filter((each) => !each.isStopped && !works(each) && each.silentSeconds <= limits.diedSeconds);
  const heavy = workers.filter(({ memoryBytes }) => memoryBytes > limits.workerMemoryBytes);
  const webs = all.filter((each) => each.kind === 'web' && works(each)).length;
  const seen = `${counted(workers.length, 'worker')} and ${counted(webs, 'web process', 'web processes')} told of themselves within ${limits.silentSeconds} s.`;
  if (workers.length === 0)
    return [
      about(
        'processes',
        broken(
          'No worker tells of itself: nothing that is approved is carried out, and nothing is metered.',
          'Start one (npm run worker), or look at why it ends: its log, and /api/readyz at its health port.',
        ),
      ),
    ];
  if (died.length > 0)
    return [
      about(
        'processes',
        attention(
          `${seen} ${died.map(({ kind, host, silentSeconds }) => `A ${kind} process on ${host} has been silent for ${lasting(silentSeconds)}`).join('. ')}, and was not told to end.`,
          'Look at the end of its log. What it held, others took over.',
        ),
      ),
    ];
  if (heavy.length > 0)
    return [
      about(
        'processes',
        attention(
          `${seen} ${counted(heavy.length, 'worker holds', 'workers hold')} more than ${limits.workerMemoryBytes / 1e6} MB.`,
          'A worker ends by itself where its heap is full, and is started anew. More tenants want more workers of the same size, or a larger heap.',
        ),
      ),
    ];
  return [about('processes', fine(seen))];
}

function queue({ queue: kinds }: StatusFacts): Check {
  const oldest = kinds.toSorted((a, b) => b.ageSeconds - a.ageSeconds)[0];
  const due = kinds.reduce((sum, each) => sum + each.due, 0);
  if (!oldest || due === 0) return about('queue', fine('Nothing waits for a worker.'));
  const words = `${counted(due, 'key waits', 'keys wait')} for a worker, the oldest (${oldest.task}) for ${lasting(oldest.ageSeconds)}.`;
  if (oldest.ageSeconds <= limits.queueAttentionSeconds) return about('queue', fine(words));
  const todo =
    'Add workers, or raise FLYWHEEL_WORKER_CONCURRENCY; what a pass takes long at, the metrics of phases say.';
  return about('queue', oldest.ageSeconds > limits.queueBrokenSeconds ? broken(words, todo) : attention(words, todo));
}

function failing({ failing: { count }, queue: kinds }: StatusFacts): Check {
  if (count === 0) return about('failing', fine('No key is failing.'));
  const words = `${counted(count, 'key has failed and is', 'keys have failed and are')} tried again.`;
  const enrollments = kinds.find(({ task }) => task === 'enrollment');
  const share = enrollments && enrollments.keys > 1 ? enrollments.failing / enrollments.keys : 0;
  const todo = 'Each is tried again by itself, later each time. Its reason says which side does not answer.';
  if (share >= limits.failingBrokenShare)
    return about(
      'failing',
      broken(
        `${words} That is ${Math.round(share * 100)} % of all enrollments.`,
        'They have one cause: look at clusters, forges and the database first.',
      ),
    );
  return about('failing', attention(words, todo));
}

// ------------------------------------------------------------------------------------------------ the outside worlds

/** For how long it has failed; null where its last word was an answer. */
function failingSeconds({ answeredAt, failedAt }: ClusterSeen | ForgeSeen, now: number): number | null {
  if (failedAt === null || (answeredAt !== null && answeredAt >= failedAt)) return null;
  return (now - (answeredAt ?? failedAt)) / 1000;
}

function ago(at: number, now: number): string {
  return `${lasting(Math.max(0, (now - at) / 1000))} ago`;
}

function cluster(each: ClusterSeen, now: number): Check {
  const { id, name, answeredAt, failure, enrollments, controllerVersion, needsController, cutOff } = each;
  const awaySeconds = failingSeconds(each, now);
  const found = (): Found => {
    if (awaySeconds !== null) {
      const last =
        answeredAt === null
          ? 'It has not answered a running process yet.'
          : `It last answered ${ago(answeredAt, now)}.`;
      const words = `${failure ?? 'It does not answer.'} ${last}`;
      const todo =
        'Nothing is lost, and everything goes on by itself when it answers. Look at its API server, and at the portal’s kubeconfig.';
      return awaySeconds > limits.awayBrokenSeconds || answeredAt === null
        ? broken(words, todo)
        : attention(words, todo);
    }
    if (answeredAt === null)
      return enrollments === 0
        ? fine('Nobody has asked it yet, and nobody has anything there.')
        : attention('No running process has asked it.', 'It is asked by workers: is one running?');
    if ((now - answeredAt) / 1000 > limits.unheardSeconds)
      return attention(
        `It last answered ${ago(answeredAt, now)}.`,
        'It is asked by workers all the time: is one running?',
      );
    if (cutOff.length > 0)
      return attention(
        `It answers others, and not ${cutOff.map((from) => `the worker on ${from.host} (${from.failure.replace(/\.$/, '')})`).join(' nor ')}.`,
        'What such a worker takes waits for its next try. Look at the way from its host to the API server, and at its kubeconfig.',
      );
    if (controllerVersion === null && needsController)
      return attention(
        `It answered ${ago(answeredAt, now)}. No Actions Runner Controller was found in it.`,
        'GitHub’s runners need one: install gha-runner-scale-set-controller.',
      );
    return fine(
      `It answered ${ago(answeredAt, now)}${controllerVersion === null ? '' : `; its runner controller is ${controllerVersion}`}.`,
    );
  };
  return about('clusters', found(), name || id, id);
}

function metering({ id, name, enrollments, meteringSeconds }: ClusterSeen): Check[] {
  if (enrollments === 0) return [];
  const todo = 'What begins and ends while nobody reads is never billed. A worker must reach that cluster.';
  const found = (): Found => {
    if (meteringSeconds === null) return attention('What runs there has not been read yet.', todo);
    const words = `What runs there was last read ${lasting(meteringSeconds)} ago.`;
    if (meteringSeconds > limits.meteringBrokenSeconds) return broken(words, todo);
    return meteringSeconds > limits.meteringAttentionSeconds ? attention(words, todo) : fine(words);
  };
  return [about('metering', found(), name || id, id)];
}

function forge(each: ForgeSeen, now: number): Check {
  const { id, name, answeredAt, failure, allowance, enrollments } = each;
  const awaySeconds = failingSeconds(each, now);
  const found = (): Found => {
    if (awaySeconds !== null) {
      const last = answeredAt === null ? '' : ` It last answered ${ago(answeredAt, now)}.`;
      const words = `${failure ?? 'It does not answer.'}${last}`;
      const todo =
        'Runners that are there go on; nothing new is registered until it answers. The page Forges tries it.';
      return awaySeconds > limits.awayBrokenSeconds ? broken(words, todo) : attention(words, todo);
    }
    const isOpen = allowance !== null && allowance.resetsAt > now;
    if (isOpen && allowance.remaining / allowance.limit < limits.allowanceAttentionShare) {
      const words = `${allowance.remaining} of ${allowance.limit} requests are left for one who asks, for the next ${lasting((allowance.resetsAt - now) / 1000)}.`;
      const todo = 'What is over the limit waits until then by itself. Somebody else may use the same App or token.';
      return allowance.remaining === 0 ? broken(words, todo) : attention(words, todo);
    }
    const answered = answeredAt === null ? null : ago(answeredAt, now);
    if (enrollments > 0 && (answeredAt === null || (now - answeredAt) / 1000 > limits.unaskedSeconds))
      return attention(
        answered === null ? 'No running process has asked it.' : `It last answered ${answered}.`,
        'Workers ask it for each enrollment there that has what it acts by: is one running, and is none waiting for its App or token?',
      );
    return fine(answered === null ? 'It was not asked lately.' : `It answered ${answered}.`);
  };
  return about('forges', found(), name || id, id);
}

function webhooks({ unsent }: StatusFacts): Check {
  if (!unsent) return about('webhooks', fine('Nothing waits to be sent.'));
  const { tenant, ageSeconds, overdueSeconds, tries } = unsent;
  const words = `The oldest message, to a webhook of ${tenant}, has waited for ${lasting(ageSeconds)} and was tried ${counted(tries, 'time')}.`;
  if (overdueSeconds > limits.overdueSeconds)
    return about(
      'webhooks',
      attention(
        `${words} It should have been sent ${lasting(overdueSeconds)} ago.`,
        'Workers send them: is one running, and does the task webhook wait?',
      ),
    );
  if (ageSeconds > limits.unsentSeconds)
    return about(
      'webhooks',
      attention(
        words,
        'Its receiver does not take it. It is tried for a day; the tenant’s admins see why on their page of it.',
      ),
    );
  return about('webhooks', fine(words));
}

// ------------------------------------------------------------------------------------------------ the database

function database({ database: seen, processes: all }: StatusFacts): Check[] {
  const { answerMs, connections, connectionsMost, isReadOnly, unfinishedMigrations, lastMigration } = seen;
  const share = connections / connectionsMost;
  const lacking = [...new Set(all.flatMap(({ missingMigrations }) => missingMigrations))];
  const answers = (): Found => {
    const words = `It answers within ${Math.round(answerMs)} ms; ${connections} of ${connectionsMost} connections are in use.`;
    const more = 'Each process may use some 22. Raise max_connections, or put a pool between (in session mode).';
    if (isReadOnly)
      return broken(
        `${words} It may only be read.`,
        'It is a replica, or its disk is full: let DATABASE_URL lead to the primary.',
      );
    if (share >= limits.connectionsBrokenShare) return broken(words, more);
    if (share >= limits.connectionsAttentionShare) return attention(words, more);
    if (answerMs > limits.answerAttentionMs)
      return attention(words, 'It is far away or busy: look for long statements.');
    return fine(words);
  };
  const migrations = (): Found => {
    if (unfinishedMigrations.length > 0)
      return broken(
        `${unfinishedMigrations.join(', ')} began and did not end.`,
        'Run npm run migrate, and read what it says.',
      );
    if (lacking.length > 0)
      return broken(`A running process needs ${lacking.join(', ')}.`, 'Run npm run migrate as the database’s owner.');
    return fine(`All migrations are applied, the last ${lastMigration ?? 'none'}.`);
  };
  return [about('database', answers(), 'Answers'), about('database', migrations(), 'Migrations')];
}
