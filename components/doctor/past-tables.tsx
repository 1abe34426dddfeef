import type { FindingView, RepairView } from '#lib/doctor/index.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, type Tone } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

const states: Record<RepairView['state'], { word: string; tone: Tone }> = {
  open: { word: 'A plan', tone: 'idle' },
  approved: { word: 'To be carried out', tone: 'busy' },
  applied: { word: 'Done; being looked after', tone: 'busy' },
  helped: { word: 'Helped', tone: 'good' },
  failed: { word: 'Did not help', tone: 'bad' },
  discarded: { word: 'Set aside', tone: 'idle' },
};

/** What was applied, by whom, and what came of it. */
export function RepairTable({ repairs }: { repairs: RepairView[] }) {
  return (
    <Table label="Repairs">
      <thead>
        <tr>
          <Th>State</Th>
          <Th>Repair</Th>
          <Th>Applied</Th>
          <Th>What came of it</Th>
        </tr>
      </thead>
      <tbody>
        {repairs.map(({ id, state, label, finding, decidedBy, decidedAt, outcome }) => (
          <Tr key={id}>
            <Td>
              <Badge tone={states[state].tone}>{states[state].word}</Badge>
            </Td>
            <Td className="min-w-48">
              <span className="font-medium">{label}</span>
              <span className="block text-sm break-words text-ink-3">{finding}</span>
            </Td>
            <Td>
              <span className="block break-all">{decidedBy ?? '–'}</span>
              {decidedAt ? (
                <span className="text-sm text-ink-3">
                  <RelativeTime at={decidedAt} />
                </span>
              ) : null}
            </Td>
            <Td className="min-w-48 text-ink-2">{outcome ?? 'It is being looked at.'}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

/** What was found once and is not seen any more. */
export function GoneTable({ gone }: { gone: FindingView[] }) {
  return (
    <Table label="What is gone">
      <thead>
        <tr>
          <Th>What it was</Th>
          <Th>From</Th>
          <Th>To</Th>
        </tr>
      </thead>
      <tbody>
        {gone.map(({ id, title, firstSeenAt, goneAt }) => (
          <Tr key={id}>
            <Td className="min-w-48 break-words">{title}</Td>
            <Td>
              <RelativeTime at={firstSeenAt} />
            </Td>
            <Td>{goneAt ? <RelativeTime at={goneAt} /> : '–'}</Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
