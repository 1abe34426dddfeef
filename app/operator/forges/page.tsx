import type { Metadata } from 'next';
import { callbackUrl, forgeRows, type ForgeRow } from '#lib/enrollment/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { AppForm } from '#components/forge/app-form.tsx';
import { ChangeForm } from '#components/forge/change-form.tsx';
import { ForgeForm } from '#components/forge/forge-form.tsx';
import { KeyForm } from '#components/forge/key-form.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { Card, PageHeader, Section } from '#components/ui/layout.tsx';
import { Badge, Callout } from '#components/ui/status.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';
import { addGithub, change, createApp, enterForge, replaceKey } from './actions.ts';

export const metadata: Metadata = { title: 'Forges' };

export default operatorPage('operator:see', async (_, { searchParams }) => {
  const forges = await forgeRows();
  const entered = forges.find(({ id }) => id === searchParams['entered']);
  const changed = forges.find(({ id }) => id === searchParams['changed']);
  const changing = forges.find(({ id }) => id === searchParams['change']);
  const made = forges.find(({ id }) => id === searchParams['made']);
  const github = forges.filter(({ kind }) => kind === 'github');
  const withoutApp = github.filter(({ app }) => app === null);
  return (
    <>
      <PageHeader title="Forges" answer={answerOf(forges, withoutApp)} />
      {made ? (
        <Callout tone="good" role="status" title={`${made.name} has its App: ${made.app}.`}>
          Its key and secrets were sealed as they came. Owners may now install it.
        </Callout>
      ) : null}
      {entered ? (
        <Callout tone="good" role="status" title={`${entered.name} is entered.`}>
          It answered, and people may sign in with it now. Its webhooks are made by the portal where an enrollment’s
          access token may.
        </Callout>
      ) : null}
      {changed ? (
        <Callout tone="good" role="status" title={`${changed.name} is changed.`}>
          What it serves is given the change now.
        </Callout>
      ) : null}
      <Forges forges={forges} />
      {changing ? (
        <Section
          title={`Change ${changing.name}`}
          id="change"
          note="Its address and its id stay: enrollments, accounts and webhooks hang on them."
        >
          <ChangeForm key={changing.id} action={change} forge={changing} />
        </Section>
      ) : null}
      {withoutApp.map(({ id, name }) => (
        <Section
          key={id}
          title={`The App of ${name}`}
          note="GitHub makes it in one step and tells its key to the portal alone."
        >
          <AppForm action={createApp} connectionId={id} />
        </Section>
      ))}
      <Section
        title="New keys"
        note="GitHub has no way to replace a private key but by hand: generate one there, give it here, delete the old one there."
      >
        <div className="grid gap-4">
          {github
            .filter(({ app }) => app !== null)
            .map(({ id, name, app }) => (
              <Card key={id}>
                <KeyForm
                  action={replaceKey}
                  fields={{ connectionId: id }}
                  label={`New private key of ${app} (${name})`}
                />
              </Card>
            ))}
        </div>
      </Section>
      <Section
        title="GitLab, Forgejo or Gitea"
        note="People sign in by its OAuth application; runners are registered by access tokens that they enter."
      >
        <ForgeForm action={enterForge} callback={callbackUrl(':id')} />
      </Section>
      <Section title="Another GitHub" note="GitHub.com or an Enterprise Server, entered together with its App.">
        <AppForm action={addGithub} />
      </Section>
    </>
  );
});

function answerOf(forges: ForgeRow[], withoutApp: ForgeRow[]): string {
  if (forges.length === 0) return 'No forge is entered yet, so nobody can sign in.';
  if (withoutApp.length > 0) return `${withoutApp.map(({ name }) => name).join(', ')} has no App yet.`;
  const quiet = forges.filter(({ webhook }) => webhook.tone === 'bad').map(({ name }) => name);
  return quiet.length === 0 ? 'All forges are set up.' : `Webhooks of ${quiet.join(', ')} do not arrive.`;
}

function Forges({ forges }: { forges: ForgeRow[] }) {
  if (forges.length === 0) return null;
  return (
    <Section title="Entered">
      <Table label="Forges">
        <thead>
          <tr>
            <Th>Forge</Th>
            <Th>Address</Th>
            <Th>App</Th>
            <Th>Webhook</Th>
            <Th>Sign-in</Th>
            <Th numeric>Own Apps</Th>
            <Th numeric>Enrollments</Th>
            <Th>
              <span className="sr-only">Change</span>
            </Th>
          </tr>
        </thead>
        <tbody>
          {forges.map(({ id, name, kind, baseUrl, app, webhook, canSignIn, ownApps, enrollments }) => (
            <Tr key={id}>
              <Td>
                {name} <span className="block font-mono text-sm text-ink-3">{`${kind} ${id}`}</span>
              </Td>
              <Td className="font-mono text-sm">{baseUrl}</Td>
              <Td>{app ?? (kind === 'github' ? <Badge tone="warn">None</Badge> : '–')}</Td>
              <Td>
                <Badge tone={webhook.tone}>{webhook.says}</Badge>
              </Td>
              <Td>{canSignIn ? <Badge tone="good">Yes</Badge> : <Badge tone="warn">No</Badge>}</Td>
              <Td numeric>{ownApps}</Td>
              <Td numeric>{enrollments}</Td>
              <Td>
                <LinkButton
                  href={`/operator/forges?${new URLSearchParams({ change: id }).toString()}#change`}
                  look="secondary"
                  small
                  aria-label={`Change ${name}`}
                >
                  Change
                </LinkButton>
              </Td>
            </Tr>
          ))}
        </tbody>
      </Table>
    </Section>
  );
}
