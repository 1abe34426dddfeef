import { overQuota } from '#lib/model/index.ts';
import type { EndingFact, Evidence, Facts, Found, ListenerFact, Offer, PodFact, StrayFact } from './facts.ts';

/*
 * From what was observed to what is wrong, in plain words. Each diagnosis is one function; facts in, findings out.
 *
 * What ARC 0.14.2 says of its runners: EphemeralRunner.status (phase, reason `TooManyPodFailures`, failures by pod), set phase
 * `Outdated` for a runner that GitHub no longer takes; a set whose version label is missing or of another minor is deleted.
 */

export type Diagnosis = {
  /** The gravest first. */
  findings: Found[];
  /** When something that may still come right by itself will be a finding; null where nothing is like that. */
  ripeAt: Date | null;
};

/** Collects when to look again for what is not yet long enough so. */
type Patience = (since: string, ms: number) => boolean;

export function diagnose(facts: Facts): Diagnosis {
  let ripeAt: Date | null = null;
  const isLong: Patience = (since, ms) => {
    const at = new Date(Date.parse(since) + ms);
    if (at.getTime() <= facts.now.getTime()) return true;
    if (ripeAt === null || at < ripeAt) ripeAt = at;
    return false;
  };
  const found = [
    ...suspended(facts),
    ...versions(facts),
    ...listeners(facts, isLong),
    ...quotaBlocked(facts),
    ...imagesGone(facts),
    ...imagesTooOld(facts),
    ...podFailures(facts),
    ...unschedulable(facts, isLong),
    ...stuck(facts, isLong),
    ...wrongLabels(facts, isLong),
  ];
  const findings = found.toSorted((a, b) => Number(a.severity === 'warn') - Number(b.severity === 'warn'));
  return { findings, ripeAt };
}

const evidenceMost = 5;

function grouped<T>(items: readonly T[], keyOf: (item: T) => string): [string, T[]][] {
  const groups = new Map<string, T[]>();
  for (const item of items) groups.set(keyOf(item), [...(groups.get(keyOf(item)) ?? []), item]);
  return [...groups];
}

const counted = (count: number, one: string, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

/** The label of a pool, which is what people know it by. */
function labelOf({ pools }: Facts, pool: string | null, other: string): string {
  return pools.find((each) => each.pool === pool)?.label ?? other;
}

function setImage({ pools }: Facts, pool: string | null): Offer[] {
  const known = pools.find((each) => each.pool === pool);
  if (known?.isAdopted) return [];
  return known ? [{ kind: 'set-image', who: 'operator', params: { pool: known.pool, image: known.image } }] : [];
}

// ------------------------------------------------------------------------------------------------ the forge

const outOfPower: Record<string, { title: string; words: string }> = {
  AppSuspended: {
    title: 'The App’s installation is suspended',
    words: 'Whoever owns it at the forge suspended it, so no runner can be registered and no job is heard of.',
  },
  AppMissing: {
    title: 'The App is not installed any more',
    words: 'It was taken away at the forge, so no runner can be registered and no job is heard of.',
  },
};

function suspended({ conditions, path, forgeName }: Facts): Found[] {
  return conditions.flatMap(({ type, status, reason, message, since }) => {
    const said = type === 'ForgeReady' && status === 'False' ? outOfPower[reason] : undefined;
    if (!said) return [];
    return [
      {
        kind: 'installation-suspended',
        subject: path,
        severity: 'bad',
        title: said.title,
        words: `${said.words} An owner of ${path} resumes or installs it in its settings at ${forgeName}; then let the portal look again.`,
        evidence: [{ object: `Installation on ${path}`, at: since, said: message }],
        offers: [{ kind: 'look-again', who: 'admin', params: {} }],
      },
    ];
  });
}

const nearMissMs = 15_000;
const strangerMs = 2 * 60_000;

/** Of our labels, the one that was meant: told apart by case, by the tenant's name before it, or by words beside it. */
export function meantLabel({ labels }: Pick<StrayFact, 'labels'>, pools: Facts['pools']): string | null {
  const given = labels.map((label) => label.toLowerCase());
  const found = pools.find(
    ({ label, pool }) =>
      given.includes(label.toLowerCase()) || given.includes(pool) || given.some((each) => each.endsWith(`-${pool}`)),
  );
  return found?.label ?? null;
}

function wrongLabels(facts: Facts, isLong: Patience): Found[] {
  const { strays, pools, forgeName, labelKey } = facts;
  return grouped(strays, ({ labels }) => labels.join(', ')).flatMap(([written, jobs]): Found[] => {
    const [first] = jobs.toSorted((a, b) => a.queuedAt.localeCompare(b.queuedAt));
    if (!first) return [];
    const meant = meantLabel(first, pools);
    if (!isLong(first.queuedAt, meant ? nearMissMs : strangerMs)) return [];
    const ours = pools.map(({ label }) => label).join(', ');
    const todo = meant
      ? `Write \`${labelKey}: ${meant}\` there, alone: runners are found by that one label.`
      : `The labels of this enrollment are ${ours}. Where other runners serve it, nothing needs doing.`;
    return [
      {
        kind: 'wrong-label',
        subject: written,
        severity: meant ? 'bad' : 'warn',
        title: `${counted(jobs.length, 'job waits', 'jobs wait')} for ${written}, which no pool answers to`,
        words: todo,
        evidence: jobs.slice(0, evidenceMost).map(({ repository, workflow, name, labels, queuedAt }) => ({
          object: `Job ${name ?? ''} of ${workflow ?? 'a workflow'} in ${repository}`,
          at: queuedAt,
          said: `${forgeName}: queued for ${labels.join(', ')}`,
        })),
        offers: [],
      },
    ];
  });
}

// ------------------------------------------------------------------------------------------------ ARC

const minorOf = (version: string) => version.split('.').slice(0, 2).join('.');

function versions({ sets, controllerVersion }: Facts): Found[] {
  if (controllerVersion === null) return [];
  return sets
    .filter(({ version }) => version !== controllerVersion)
    .map(({ name, version }) => {
      const isDeleted = version === null || minorOf(version) !== minorOf(controllerVersion);
      return {
        kind: 'version-label',
        subject: name,
        severity: isDeleted ? 'bad' : 'warn',
        title: version === null ? `${name} lost its version label` : `${name} is labelled for another controller`,
        words: isDeleted
          ? `The controller is ${controllerVersion} and deletes every runner set that is not labelled so. The portal stamps it anew by itself within a minute, or now.`
          : `The controller is ${controllerVersion}; a set of the same minor version is served. The portal stamps it anew by itself.`,
        evidence: [
          {
            object: `AutoscalingRunnerSet ${name}`,
            at: null,
            said: `app.kubernetes.io/version: ${version ?? 'missing'}, controller: ${controllerVersion}`,
          },
        ],
        offers: [
          { kind: 'stamp-version', who: 'admin', params: { set: name, from: version ?? '', to: controllerVersion } },
        ],
      } satisfies Found;
    });
}

const scaleSetGone = /(RunnerScaleSetNotFound|No (such )?runner scale set)/i;
const sessionHeld = /(already has an active session|SessionConflict|RunnerScaleSetSessionConflict)/i;
const startMs = 60_000;
const troubledMs = 8_000;
const restartsMany = 3;

function listeners(facts: Facts, isLong: Patience): Found[] {
  return facts.listeners.flatMap((listener): Found[] => {
    if (listener.isReady && listener.restarts < restartsMany) return [];
    if (scaleSetGone.test(listener.message)) return [goneAtForge(facts, listener)];
    if (sessionHeld.test(`${listener.reason ?? ''} ${listener.message}`)) return [held(facts, listener)];
    if (listener.restarts >= restartsMany) return [restarting(listener)];
    // One refusal may be answered by the next attempt, or tell more with it.
    const patienceMs = listener.message === '' ? startMs : troubledMs;
    return isLong(listener.since, patienceMs) ? [restarting(listener)] : [];
  });
}

function evidenceOf({ pod, reason, message, startedAt }: ListenerFact): Evidence[] {
  return [
    { object: `Listener pod ${pod}`, at: startedAt, said: [reason, message].filter(Boolean).join(': ') || 'not ready' },
  ];
}

function goneAtForge({ forgeName }: Facts, listener: ListenerFact): Found {
  const { set } = listener;
  return {
    kind: 'scale-set-gone',
    subject: set,
    severity: 'bad',
    title: `${set} was deleted at ${forgeName}`,
    words: `${forgeName} knows no scale set of this name any more, so its jobs wait. It can be registered anew; no other pool is touched.`,
    evidence: evidenceOf(listener),
    offers: [{ kind: 'register-anew', who: 'admin', params: { set } }],
  };
}

function held({ forgeName }: Facts, listener: ListenerFact): Found {
  const { set, message, pod } = listener;
  const owner = /for owner ([\w.-]+)/.exec(message)?.[1]?.replace(/\.$/, '') ?? null;
  const whose =
    owner === null || owner === pod
      ? 'A listener of ours that ended has not given it back; it ends by itself within minutes.'
      : `It is held by ${owner}: a runner set of the same name in another cluster, or by hand. Remove that one first, or both take turns for ever.`;
  return {
    kind: 'session-held',
    subject: set,
    severity: 'bad',
    title: `Another listener holds ${set}’s session at ${forgeName}`,
    words: `${forgeName} lets one listener serve a scale set and answers ours with 409. ${whose} To register it anew ends that session.`,
    evidence: evidenceOf(listener),
    offers: [{ kind: 'register-anew', who: 'admin', params: { set } }],
  };
}

function restarting(listener: ListenerFact): Found {
  const { set, pod, restarts } = listener;
  const again = restarts > 0 ? ` It was started again ${counted(restarts, 'time')}.` : '';
  return {
    kind: 'listener-restarting',
    subject: set,
    severity: 'bad',
    title: `${set}’s listener does not stay up`,
    words: `While it is down, jobs with this label wait.${again} What it said last is below. A new start reads the credentials anew.`,
    evidence: evidenceOf(listener),
    offers: [
      { kind: 'restart-listener', who: 'admin', params: { set, pod } },
      { kind: 'register-anew', who: 'admin', params: { set } },
    ],
  };
}

// ------------------------------------------------------------------------------------------------ runners and pods

function quotaBlocked(facts: Facts): Found[] {
  const orphans = facts.pods.filter(({ isOrphan }) => isOrphan).map(({ name }) => name);
  const blocked = [
    ...facts.runners
      .filter(({ message }) => overQuota.test(message))
      .map(({ name, pool, message, createdAt }) => ({ object: `Runner ${name}`, pool, at: createdAt, said: message })),
    ...facts.deployments
      .filter(({ said }) => overQuota.test(said))
      .map(({ name, pool, said, at }) => ({ object: `Deployment ${name}`, pool, at, said })),
  ];
  return grouped(blocked, ({ pool, object }) => labelOf(facts, pool, object)).map(([subject, all]) => {
    const quota = overQuota.exec(all[0]?.said ?? '')?.[1] ?? '';
    const isOurs = quota === 'flywheel';
    const pool = all[0]?.pool ?? null;
    const left =
      orphans.length > 0 ? ` ${counted(orphans.length, 'pod')} that no runner owns any more hold a part of it.` : '';
    const whose = isOurs ? 'the tenant’s quota' : `a quota “${quota}” that is not the portal’s`;
    return {
      kind: 'quota-blocked',
      subject,
      severity: 'bad',
      title: `${counted(all.length, 'runner')} of ${subject} cannot be made: ${whose} is used up`,
      words: `They are tried again twice a minute and start as soon as there is room.${left} ${isOurs ? 'Give the pool a smaller maximum, or ask for more quota.' : 'Whoever put that quota into the namespace must raise it or take it away.'}`,
      evidence: all.slice(0, evidenceMost).map(({ object, at, said }) => ({ object, at, said })),
      offers: quotaOffers(facts, orphans, isOurs ? pool : null),
    };
  });
}

function quotaOffers({ runners }: Facts, orphans: string[], pool: string | null): Offer[] {
  const offers: Offer[] =
    orphans.length > 0 ? [{ kind: 'remove-orphans', who: 'admin', params: { pods: orphans } }] : [];
  if (pool === null) return offers;
  const made = runners.filter((each) => each.pool === pool && !overQuota.test(each.message)).length;
  return [...offers, { kind: 'fit-maximum', who: 'admin', params: { pool, to: String(Math.max(1, made)) } }];
}

const imageReasons = new Set(['ErrImagePull', 'ImagePullBackOff', 'InvalidImageName', 'ErrImageNeverPull']);

function imagesGone(facts: Facts): Found[] {
  const waiting = facts.pods.filter(({ waiting: why }) => why !== null && imageReasons.has(why.reason));
  return grouped(waiting, ({ pool, name }) => labelOf(facts, pool, name)).map(([subject, pods]) => ({
    kind: 'image-gone',
    subject,
    severity: 'bad',
    title: `The image of ${subject} cannot be pulled`,
    words: `${pods[0]?.image ?? 'It'} is not there, or the cluster may not read it, so no runner of this pool starts. It was approved with this pool; another is an operator’s to set.`,
    evidence: pods.slice(0, evidenceMost).map(({ name, waiting: why, createdAt }) => ({
      object: `Pod ${name}`,
      at: createdAt,
      said: `${why?.reason}: ${why?.message}`,
    })),
    // A daemon's image is entered with its digest, on the pool's own page.
    offers: pods[0]?.waiting?.isDaemon ? [] : setImage(facts, pods[0]?.pool ?? null),
  }));
}

function imagesTooOld(facts: Facts): Found[] {
  const sets = facts.sets.filter(({ phase, isEnding }) => phase === 'Outdated' && !isEnding);
  return sets.map(({ name }) => {
    const pool = facts.pools.find(({ label }) => label === name);
    return {
      kind: 'image-too-old',
      subject: name,
      severity: 'bad',
      title: `${name}: ${facts.forgeName} no longer takes this version of the runner`,
      words: `${pool?.image ?? 'Its image'} holds a runner that is too old. The controller has shut the pool down and starts it again when it gets another image.`,
      evidence: [{ object: `AutoscalingRunnerSet ${name}`, at: null, said: 'phase: Outdated (exit code 7)' }],
      offers: setImage(facts, pool?.pool ?? null),
    };
  });
}

/** ARC gives up after five; three in a row are no accident. */
const failuresMany = 3;

function podFailures(facts: Facts): Found[] {
  // ARC forgets no failure: one that works by now is well, however often it was tried.
  const failing = facts.runners.filter(
    ({ reason, failedAt, isReady }) => !isReady && (reason === 'TooManyPodFailures' || failedAt.length >= failuresMany),
  );
  return grouped(failing, ({ set }) => set).map(([subject, runners]) => {
    const pool = facts.pools.find(({ label }) => label === subject)?.pool ?? null;
    const most = Math.max(...runners.map(({ failedAt }) => failedAt.length));
    return {
      kind: 'pod-failures',
      subject,
      severity: 'bad',
      title: `Runners of ${subject} end as soon as they start`,
      words: `A runner failed ${counted(most, 'time')} in a row and is tried again ever later. Mostly the image’s program ends at once, or cannot reach the forge. Starting them anew forgets the waits; another image mends a broken one.`,
      evidence: runners.slice(0, evidenceMost).map(({ name, reason, message, failedAt }) => ({
        object: `Runner ${name}`,
        at: failedAt.toSorted().at(-1) ?? null,
        said: [reason, message].filter(Boolean).join(': ') || `its pod failed ${counted(failedAt.length, 'time')}`,
      })),
      offers: [
        { kind: 'restart-runners', who: 'admin', params: { set: subject, runners: runners.map(({ name }) => name) } },
        ...setImage(facts, pool),
      ],
    };
  });
}

/** What the scheduler says where no node will ever do: https://kubernetes.io/docs/concepts/scheduling-eviction/ */
const noSuchNode = /(node affinity|node selector|untolerated taint|nodeSelector)/i;
/** Told too where other nodes would do and are full: most clusters keep their control plane's nodes to themselves. */
const lacksRoom = /insufficient|too many pods/i;
const isNoSuchNode = (message: string) => noSuchNode.test(message) && !lacksRoom.test(message);
/** A node may first have to be started. */
const roomMs = 5 * 60_000;

function unschedulable(facts: Facts, isLong: Patience): Found[] {
  const pods = facts.pods.filter(
    ({ unschedulable: why }) => why !== null && (isNoSuchNode(why.message) || isLong(why.since, roomMs)),
  );
  return grouped(pods, ({ pool, name }) => labelOf(facts, pool, name)).map(([subject, all]) => {
    const pool = facts.pools.find((each) => each.pool === all[0]?.pool);
    const isPlaced = all.some((each) => isNoSuchNode(each.unschedulable?.message ?? ''));
    return {
      kind: 'unschedulable',
      subject,
      severity: 'bad',
      title: `No node takes runners of ${subject}`,
      words: isPlaced
        ? 'The catalog asks for nodes of a kind that the cluster does not have. Add such nodes, or let this pool run on any.'
        : 'All nodes are full, or none is large enough for one runner of this pool. Add nodes, or make the pool smaller in the catalog.',
      evidence: all.slice(0, evidenceMost).map((each: PodFact) => ({
        object: `Pod ${each.name}`,
        at: each.unschedulable?.since ?? null,
        said: each.unschedulable?.message ?? '',
      })),
      offers:
        pool?.isPlaced && !pool.isAdopted && isPlaced
          ? [{ kind: 'clear-placement', who: 'operator', params: { pool: pool.pool } }]
          : [],
    };
  });
}

// ------------------------------------------------------------------------------------------------ what does not go

/** What waits for processes may take its time; the rest goes in a moment or not at all. */
const slowKinds = new Set([
  'AutoscalingRunnerSet',
  'Deployment',
  'Namespace',
  'Pod',
  'PersistentVolumeClaim',
  'EphemeralRunner',
]);
const slowMs = 5 * 60_000;
const quickMs = 15_000;
const arcFinalizer = /actions\.github\.com\//;

function stuck({ ending }: Facts, isLong: Patience): Found[] {
  return ending
    .filter(({ finalizers, isBusy }) => finalizers.length > 0 && !isBusy)
    .filter(({ kind, since }) => isLong(since, slowKinds.has(kind) ? slowMs : quickMs))
    .map(stuckFinding);
}

function stuckFinding({ kind, apiVersion, name, namespace, since, finalizers }: EndingFact): Found {
  const isArcs = finalizers.some((each) => arcFinalizer.test(each));
  return {
    kind: 'stuck-finalizer',
    subject: `${kind} ${name}`,
    severity: 'bad',
    title: `${kind} ${name} was told to go and cannot`,
    words: `It is held by ${finalizers.join(', ')}, and whoever put that there does not take it off. What needs this name waits. ${isArcs ? 'Taking off the controller’s own mark may leave a registration at the forge.' : 'Taking the mark off lets it go.'}`,
    evidence: [
      {
        object: `${kind} ${namespace ? `${namespace}/` : ''}${name}`,
        at: since,
        said: `held by ${finalizers.join(', ')}`,
      },
    ],
    offers: [
      {
        kind: 'drop-finalizer',
        who: isArcs ? 'operator' : 'admin',
        params: { kind, apiVersion, name, namespace: namespace ?? '', finalizers },
      },
    ],
  };
}
