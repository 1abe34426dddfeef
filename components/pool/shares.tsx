import Link from 'next/link';
import type { SharingView } from '#lib/enrollment/index.ts';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { Badge } from '#components/ui/status.tsx';

/** Whose the capacity is, and how many runners each pool has of those that it asked for. */
export function Shares({ slug, sharing, accounts, shares }: SharingView & { slug: string }) {
  const isShared = sharing === 'shared';
  const serves = accounts.length === 0 ? 'nobody yet' : accounts.join(', ');
  return (
    <div className="grid gap-3">
      <p>
        <Badge tone={isShared ? 'warn' : 'good'}>{isShared ? 'Shared' : 'Dedicated'}</Badge>{' '}
        <span className="break-words">It serves {serves}.</span>
      </p>
      {isShared && shares.length > 0 ? (
        <Table label="Fair shares">
          <thead>
            <tr>
              <Th>Label</Th>
              <Th>Scope</Th>
              <Th numeric>Asked for</Th>
              <Th numeric>Fair share</Th>
            </tr>
          </thead>
          <tbody>
            {shares.map(({ label, path, enrollmentId, enrollment, asked, granted }) => (
              <Tr key={label}>
                <Td className="font-mono text-sm">{label}</Td>
                <Td>
                  <Link href={`/t/${slug}/enrollments/${enrollmentId}`} aria-label={`${enrollment}, ${path}`}>
                    {path}
                  </Link>
                </Td>
                <Td numeric>{asked}</Td>
                <Td numeric>{granted}</Td>
              </Tr>
            ))}
          </tbody>
        </Table>
      ) : null}
    </div>
  );
}
