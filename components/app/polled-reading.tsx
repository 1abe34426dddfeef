'use client';

import { QueryClient, QueryClientProvider, useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Callout } from '#components/ui/status.tsx';
import type { PolledProps } from './polled.tsx';

async function read<T>(url: string, signal: AbortSignal): Promise<T> {
  const response = await fetch(url, { signal, headers: { accept: 'application/json' } });
  if (!response.ok) throw new Error(`${response.status}`);
  return (await response.json()) as T;
}

/** The part that asks again. It comes after the page, which is whole without it. */
export function PolledReading<T>(props: PolledProps<T>) {
  const [client] = useState(() => new QueryClient());
  return (
    <QueryClientProvider client={client}>
      <Reading {...props} />
    </QueryClientProvider>
  );
}

/** A server that is away or refuses is not asked in a circle. */
const afterErrorMs = 3000;

function Reading<T>({ url, first, everyMs, since, children }: PolledProps<T>) {
  const client = useQueryClient();
  const { data, isError, dataUpdatedAt } = useQuery({
    queryKey: [url],
    queryFn: ({ signal }) => {
      const known = client.getQueryData<T>([url]);
      return read<T>(since && known !== undefined ? `${url}?since=${encodeURIComponent(since(known))}` : url, signal);
    },
    initialData: first,
    staleTime: since ? 0 : 1000,
    retry: false,
    refetchInterval: ({ state }) => {
      if (state.data === undefined) return 5000;
      const ms = everyMs(state.data);
      return ms !== false && state.error ? Math.max(ms, afterErrorMs) : ms;
    },
  });
  return (
    <>
      {isError ? (
        <div className="mb-4">
          <Callout tone="warn" title="This page is not being refreshed." role="status">
            It shows what was so <RelativeTime at={new Date(dataUpdatedAt).toISOString()} />. It tries again by itself.
          </Callout>
        </div>
      ) : null}
      {children(data ?? first)}
    </>
  );
}
