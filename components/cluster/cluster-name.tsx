import Link from 'next/link';

/** In a table. A name without a space breaks, so that the columns beside it keep their room. */
export function ClusterName({ id, name }: { id: string; name: string }) {
  return (
    <div className="max-w-72 min-w-32 wrap-anywhere">
      <Link href={`/operator/clusters/${id}`} className="font-medium text-accent hover:underline">
        {name}
      </Link>
      <span className="block font-mono text-sm text-ink-3">{id}</span>
    </div>
  );
}
