import type { Judged, State } from '#lib/status/index.ts';

export const stateWords: Record<State, string> = { ok: 'OK', attention: 'Attention', broken: 'Broken' };
export const toneOf = { ok: 'good', attention: 'warn', broken: 'bad' } as const;

const areaWords: Record<Judged['checks'][number]['area'], string> = {
  processes: 'the processes',
  queue: 'the queue',
  failing: 'keys that fail',
  clusters: 'a cluster',
  metering: 'metering',
  forges: 'a forge',
  webhooks: 'webhooks of tenants',
  database: 'the database',
};

const listed = (words: readonly string[]) => new Intl.ListFormat('en-GB', { type: 'conjunction' }).format(words);

/** Of clusters and forges there are several: how many are meant is said. */
const severalWords: Partial<typeof areaWords> = { clusters: 'clusters', forges: 'forges' };

function namesOf({ checks }: Judged, state: State): string[] {
  const meant = Map.groupBy(
    checks.filter((check) => check.state === state),
    ({ area }) => area,
  );
  return [...meant].map(([area, checksOf]) => {
    const several = severalWords[area];
    const { size } = new Set(checksOf.map(({ id }) => id));
    return several !== undefined && size > 1 ? `${size} ${several}` : areaWords[area];
  });
}

/** How the portal is, in a sentence or two. */
export function answerOf(judged: Judged): string {
  const [bad, warn] = [namesOf(judged, 'broken'), namesOf(judged, 'attention')];
  const sentences = [
    ...(bad.length > 0 ? [`Broken: ${listed(bad)}.`] : []),
    ...(warn.length > 0 ? [`${bad.length > 0 ? 'And attention' : 'Attention'} for ${listed(warn)}.`] : []),
  ];
  return sentences.length > 0 ? sentences.join(' ') : 'All parts of the portal work.';
}
