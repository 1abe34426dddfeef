import Link from 'next/link';
import { Building2, FolderGit2, Landmark, Lock } from 'lucide-react';
import type { ScopeChoice } from '#lib/forge/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import type { FormAction } from '#components/form/use-action-form.ts';
import { LinkButton, OutsideButton } from '#components/ui/button.tsx';
import { Badge } from '#components/ui/status.tsx';

const icons = {
  repository: FolderGit2,
  project: FolderGit2,
  organization: Building2,
  group: Building2,
  account: Building2,
  enterprise: Landmark,
  instance: Landmark,
};

/** One of these serves all that is inside it, so it is what most people mean. */
const recommended = new Set<ScopeChoice['level']>(['organization', 'group', 'account', 'enterprise']);

/** Scopes to choose from; one where the App is missing says so and leads to where it is installed. */
type ListProps = {
  connection: string;
  scopes: ScopeChoice[];
  enrolled: string[];
  /** On to where the App is installed, and back to the very scope. */
  install: FormAction;
};

export function ScopeList({ connection, scopes, enrolled, install }: ListProps) {
  return (
    <ul className="divide-y rounded-lg border bg-surface">
      {scopes.map((scope) => (
        <ScopeRow
          key={`${scope.level}/${scope.scopeId}`}
          connection={connection}
          scope={scope}
          isEnrolled={enrolled.includes(scope.scopeId)}
          install={install}
        />
      ))}
    </ul>
  );
}

type RowProps = { connection: string; scope: ScopeChoice; isEnrolled: boolean; install: FormAction };

function ScopeRow({ connection, scope, isEnrolled, install }: RowProps) {
  const Icon = icons[scope.level];
  const { level, path } = scope;
  const asked = new URLSearchParams({ connection, level, path });
  const hasChoice = scope.credential === 'installation' && level === 'organization';
  if (hasChoice && scope.installation) asked.set('installed', '1');
  // An organization says whose App it is served by before it names its tenant.
  const href = `/enroll/${hasChoice ? 'app' : 'tenant'}?${asked.toString()}`;
  return (
    <li className="flex flex-wrap items-center gap-x-4 gap-y-2 px-4 py-3">
      <Icon size={18} aria-hidden className="shrink-0 text-ink-3" />
      <div className="min-w-0 grow basis-48">
        <p className="flex items-center gap-2 font-medium">
          <span className="break-all">{path || scope.name}</span>
          {scope.private ? <Lock size={14} aria-label="Private" className="shrink-0 text-ink-3" /> : null}
        </p>
        <p className="text-sm text-ink-3 first-letter:uppercase">{level}</p>
      </div>
      {isEnrolled ? (
        <Badge tone="good">Enrolled</Badge>
      ) : (
        <Readiness scope={scope} href={href} install={install} fields={{ connectionId: connection, path }} />
      )}
    </li>
  );
}

type ReadinessProps = { scope: ScopeChoice; href: string; install: FormAction; fields: Record<string, string> };

function Readiness({ scope, href, install, fields }: ReadinessProps) {
  const { installation, installUrl } = scope;
  if (scope.credential === 'token') return <EnrollLink scope={scope} href={href} />;
  if (!installation) {
    return (
      <>
        <Badge tone="idle">App not installed</Badge>
        {scope.level === 'organization' ? (
          <LinkButton href={href} small look="primary" aria-label={`Choose the App of ${scope.path}`}>
            Choose an App
          </LinkButton>
        ) : (
          <ButtonForm action={install} fields={fields} look="secondary" small>
            Install the App <span className="sr-only">{`for ${scope.path}`}</span>
          </ButtonForm>
        )}
      </>
    );
  }
  const isMissing = installation.permissionsMissing.length > 0;
  if (installation.suspended || isMissing) {
    return (
      <>
        <Badge tone="warn">{installation.suspended ? 'App suspended' : 'Permission missing'}</Badge>
        <OutsideButton href={installUrl} small title={installation.permissionsMissing.join(', ')}>
          {installation.suspended ? 'Resume the App' : 'Review permissions'}
        </OutsideButton>
      </>
    );
  }
  return (
    <>
      <Badge tone="good">App installed</Badge>
      <EnrollLink scope={scope} href={href} />
    </>
  );
}

function EnrollLink({ scope, href }: { scope: ScopeChoice; href: string }) {
  return (
    <LinkButton
      href={href}
      small
      look={recommended.has(scope.level) ? 'primary' : 'secondary'}
      aria-label={`Enroll ${scope.path || scope.name}`}
    >
      Enroll
    </LinkButton>
  );
}

export function MoreLink({ href }: { href: string }) {
  return (
    <Link href={href} className="justify-self-start text-accent underline">
      Show more
    </Link>
  );
}
