'use client';

import { QueryClient, QueryClientProvider, useQuery } from '@tanstack/react-query';
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

function Reading<T>({ url, first, everyMs, children }: PolledProps<T>) {
  const { data, isError, dataUpdatedAt } = useQuery({
    queryKey: [url],
    queryFn: ({ signal }) => read<T>(url, signal),
    initialData: first,
    staleTime: 1000,
    retry: false,
    refetchInterval: ({ state }) => (state.data === undefined ? 5000 : everyMs(state.data)),
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
