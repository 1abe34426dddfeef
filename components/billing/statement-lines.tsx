import { money } from '#components/ui/money.ts';
import { EmptyState } from '#components/ui/states.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

type Line = {
  key: string;
  kind: 'usage' | 'commitment' | 'correction';
  description: string;
  quantity: string | null;
  unit: string | null;
  unitPrice: string | null;
  listCost: string;
  cost: string;
};

export function StatementLines({ lines, total, currency }: { lines: Line[]; total: string; currency: string }) {
  if (lines.length === 0)
    return <EmptyState title="Nothing to pay">Nothing that has a price was used in this month.</EmptyState>;
  return (
    <Table label="Lines of the statement">
      <thead>
        <tr>
          <Th>What</Th>
          <Th numeric>Quantity</Th>
          <Th numeric>Price of one</Th>
          <Th numeric>List</Th>
          <Th numeric>Amount</Th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <Tr key={line.key}>
            <Td className="min-w-48">
              {line.description} {line.kind === 'correction' ? <Badge tone="warn">Correction</Badge> : null}
              <span className="block font-mono text-xs break-all text-ink-3">{line.key}</span>
            </Td>
            <Td numeric>
              {line.quantity === null
                ? '–'
                : `${Number(line.quantity).toLocaleString('en', { maximumFractionDigits: 3 })} ${line.unit ?? ''}`}
            </Td>
            <Td numeric>{line.unitPrice ?? '–'}</Td>
            <Td numeric>{money(line.listCost, currency)}</Td>
            <Td numeric>{money(line.cost, currency)}</Td>
          </Tr>
        ))}
      </tbody>
      <tfoot>
        <tr className="border-t font-semibold">
          <Td>Total</Td>
          <Td />
          <Td />
          <Td />
          <Td numeric>{money(total, currency)}</Td>
        </tr>
      </tfoot>
    </Table>
  );
}
