import type { VersionRow } from '#lib/state/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import type { FormAction } from '#components/form/use-action-form.ts';
import { LinkButton, OutsideButton } from '#components/ui/button.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { Badge, Tag } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { bytes } from '#components/ui/figures.ts';

type Props = { stack: string; versions: VersionRow[]; newest: number; isLocked: boolean; goBack: FormAction };

/** Every version, the newest first: who wrote it, and what can be done with it. */
export function VersionTable({ stack, versions, newest, isLocked, goBack }: Props) {
  return (
    <Table label="Versions">
      <thead>
        <tr>
          <Th numeric>Version</Th>
          <Th>Written</Th>
          <Th>By</Th>
          <Th numeric>Serial</Th>
          <Th numeric>Resources</Th>
          <Th numeric>Size</Th>
          <Th>
            <span className="sr-only">What can be done</span>
          </Th>
        </tr>
      </thead>
      <tbody>
        {versions.map((version) => (
          <Tr key={version.number}>
            <Td numeric>
              <span className="font-medium">{version.number}</span>
              {version.number === newest ? <span className="block text-sm text-ink-3">now</span> : null}
            </Td>
            <Td>
              <RelativeTime at={version.at} />
              <Kind version={version} />
            </Td>
            <Td className="min-w-48">
              <By version={version} />
            </Td>
            <Td numeric>{version.serial ?? '–'}</Td>
            <Td numeric>{version.resources ?? '–'}</Td>
            <Td numeric>{version.kind === 'purge' ? '–' : bytes(version.bytes)}</Td>
            <Td>
              <Acts
                stack={stack}
                version={version}
                isNewest={version.number === newest}
                isLocked={isLocked}
                goBack={goBack}
              />
            </Td>
          </Tr>
        ))}
      </tbody>
    </Table>
  );
}

function Kind({ version: { kind, ofNumber, isEncrypted } }: { version: VersionRow }) {
  if (kind === 'purge')
    return (
      <span className="mt-1 block">
        <Badge tone="warn">Emptied</Badge>
      </span>
    );
  if (kind !== 'rollback' && !isEncrypted) return null;
  return (
    <span className="mt-1 flex flex-wrap gap-1">
      {kind === 'rollback' ? <Tag>{`back to ${ofNumber ?? ''}`}</Tag> : null}
      {isEncrypted ? <Tag>encrypted by the program</Tag> : null}
    </span>
  );
}

function By({ version: { who, credential, operation, toolVersion } }: { version: VersionRow }) {
  const doing = [operation, toolVersion && `version ${toolVersion}`].filter(Boolean).join(', ');
  return (
    <>
      <span className="break-all">{who ?? 'Not told'}</span>
      {credential ? <span className="block text-sm text-ink-3">credential {credential}</span> : null}
      {doing ? <span className="block text-sm text-ink-3">{doing}</span> : null}
    </>
  );
}

type ActProps = { stack: string; version: VersionRow; isNewest: boolean; isLocked: boolean; goBack: FormAction };

function Acts({ stack, version, isNewest, isLocked, goBack }: ActProps) {
  const { number, kind, isEncrypted, serial } = version;
  const path = `/operator/state/${stack}`;
  const mayGoBack = !isNewest && !isLocked && kind !== 'purge' && !(isEncrypted && serial !== null);
  return (
    <div className="flex flex-wrap gap-2">
      <LinkButton href={`${path}/diff?from=${number - 1}&to=${number}`} small>
        Changes<span className="sr-only"> of version {number}</span>
      </LinkButton>
      {kind === 'purge' ? null : (
        <OutsideButton href={`${path}/versions/${number}`} small>
          Download<span className="sr-only"> version {number}</span>
        </OutsideButton>
      )}
      {mayGoBack ? (
        <ButtonForm action={goBack} fields={{ stack, number: String(number) }} look="secondary" small>
          Go back to this<span className="sr-only"> version {number}</span>
        </ButtonForm>
      ) : null}
    </div>
  );
}
