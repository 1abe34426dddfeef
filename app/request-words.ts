import { quotaWords, requestKindLabel, type RequestKind } from '#lib/model/index.ts';
import type { RequestRow } from '#lib/tenancy/index.ts';

/** What is asked for, in a few words. */
export function wantedWords({ kind, wanted, granted }: Pick<RequestRow, 'kind' | 'wanted' | 'granted'>): string {
  const words: Record<RequestKind, string> = {
    tenant: wanted.quota ? `To begin with ${quotaWords(wanted.quota)}` : 'To begin',
    quota: wanted.quota ? quotaWords(wanted.quota) : 'Another quota',
    plan: 'To apply a plan',
    parent: wanted.parent ? `To be below ${wanted.parent}` : 'To stand alone',
  };
  const given = granted?.quota
    ? `; granted ${quotaWords(granted.quota)}`
    : granted?.pools
      ? '; granted with changes'
      : '';
  return `${words[kind]}${given}`;
}

export function requestTitle(kind: RequestKind): string {
  return requestKindLabel[kind];
}
