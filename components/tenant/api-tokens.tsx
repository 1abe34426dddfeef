import type { ApiTokenRow } from '#lib/tenant/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import type { FormAction } from '#components/form/use-action-form.ts';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

export function tokensAnswer(tokens: readonly ApiTokenRow[]): string {
  const working = tokens.filter(({ standing }) => standing === 'works').length;
  if (working === 0) return 'No token opens anything now.';
  return working === 1 ? 'One token opens something now.' : `${working} tokens open something now.`;
}

const standings: Record<ApiTokenRow['standing'], { tone: 'good' | 'idle'; says: string }> = {
  works: { tone: 'good', says: 'Works' },
  ended: { tone: 'idle', says: 'Has ended' },
  revoked: { tone: 'idle', says: 'Revoked' },
};

type Props = { tokens: ApiTokenRow[]; revoke?: FormAction; hasPerson?: boolean };

export function ApiTokens({ tokens, revoke, hasPerson = false }: Props) {
  return (
    <Table label="API tokens">
      <thead>
        <tr>
          <Th>Name</Th>
          {hasPerson ? <Th>Made by</Th> : null}
          <Th>May</Th>
          <Th>Last used</Th>
          <Th>Ends</Th>
          <Th>Standing</Th>
          <Th>
            <span className="sr-only">Revoke</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {tokens.map(({ id, name, person, scopes, usedAt, expiresAt, standing, revokedBy }) => (
          <Tr key={id}>
            <Td className="min-w-40 break-words">
              {name}
              <span className="block font-mono text-xs text-ink-3">{id.slice(-12)}</span>
            </Td>
            {hasPerson ? <Td className="min-w-32 break-words">{person}</Td> : null}
            <Td className="min-w-40">{scopes.join(', ')}</Td>
            <Td>{usedAt ? <RelativeTime at={usedAt} /> : 'Never'}</Td>
            <Td>
              <RelativeTime at={expiresAt} />
            </Td>
            <Td>
              <Badge tone={standings[standing].tone}>{standings[standing].says}</Badge>
              {revokedBy ? <span className="block text-sm text-ink-3">by {revokedBy}</span> : null}
            </Td>
            <Td>
              {revoke && standing === 'works' ? (
                <ButtonForm action={revoke} fields={{ tokenId: id }} look="secondary" small>
                  Revoke <span className="sr-only">{name}</span>
                </ButtonForm>
              ) : null}
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}
