import Link from 'next/link';
import type { EnrollmentSummary } from '#lib/enrollment/index.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, Tag, type Tone } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { toneOf } from './phases.tsx';

function badgeOf({ ready, state, waitingFor }: EnrollmentSummary): { tone: Tone; word: string } {
  if (ready) return { tone: 'good', word: 'Ready' };
  if (state === 'draft') return { tone: 'idle', word: 'Draft' };
  if (state === 'withdrawn') return { tone: 'idle', word: 'Withdrawn' };
  const tone = toneOf('False', waitingFor);
  const moving = state === 'withdrawing' ? 'Being removed' : 'Under way';
  return { tone, word: tone === 'wait' ? 'Waiting' : moving };
}

export function EnrollmentList({ slug, enrollments }: { slug: string; enrollments: EnrollmentSummary[] }) {
  return (
    <Table label="Enrollments">
      <thead>
        <tr>
          <Th>Enrollment</Th>
          <Th>State</Th>
          <Th>What it says</Th>
          <Th>Labels</Th>
        </tr>
      </thead>
      <tbody>
        {enrollments.map((enrollment) => {
          const { tone, word } = badgeOf(enrollment);
          return (
            <Tr key={enrollment.id}>
              <Td className="min-w-44">
                <Link
                  href={`/t/${slug}/enrollments/${enrollment.id}`}
                  className="font-medium text-accent hover:underline"
                >
                  {enrollment.name}
                </Link>
                <span className="block text-sm text-ink-3">
                  {enrollment.scope.path} on {enrollment.forgeName}
                </span>
              </Td>
              <Td>
                <Badge tone={tone}>{word}</Badge>
              </Td>
              <Td className="min-w-56 text-ink-2">
                {enrollment.headline}
                {enrollment.since ? (
                  <span className="block text-sm text-ink-3">
                    <RelativeTime at={enrollment.since} />
                  </span>
                ) : null}
              </Td>
              <Td>
                <span className="flex flex-wrap gap-1">
                  {enrollment.labels.map((label) => (
                    <Tag key={label} mono>
                      {label}
                    </Tag>
                  ))}
                </span>
              </Td>
            </Tr>
          );
        })}
      </tbody>
    </Table>
  );
}
