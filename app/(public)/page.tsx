import type { Metadata } from 'next';
import type { ReactNode } from 'react';
import { Boxes, Database, GitBranch, Users } from 'lucide-react';
import { currentPerson } from '#lib/tenant/index.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { Mark } from '#components/ui/mark.tsx';

export const metadata: Metadata = { title: { absolute: 'Flywheel: CI runners and caches for your organization' } };

const dimensions = [
  {
    icon: <GitBranch size={18} aria-hidden />,
    title: 'Forge scope',
    text: 'The repository, organization or enterprise whose jobs the runners take. One App installation serves a whole organization.',
  },
  {
    icon: <Users size={18} aria-hidden />,
    title: 'Operator tenant',
    text: 'Who owns the capacity and pays for it. Quota, secrets and network end at the tenant’s own namespaces.',
  },
  {
    icon: <Boxes size={18} aria-hidden />,
    title: 'Execution pool',
    text: 'A size of runner and a class of work: docker, nix, nix-heavy. A workflow asks for it by its label.',
  },
  {
    icon: <Database size={18} aria-hidden />,
    title: 'Cache and state plane',
    text: 'An Attic view and a Bazel cache of the tenant’s own. Store paths are kept once, and private ones stay private.',
  },
];

const steps = [
  ['Scope', 'Pick an organization or repository that you administer. We check that with the forge.'],
  ['Tenant', 'Say who owns and pays: a tenant you have, or a new one.'],
  ['Pools', 'Choose pools and how many runners each may have, with the quota in sight.'],
  ['Caches', 'Turn on Attic and Bazel, private or public.'],
  ['Plan', 'Read exactly what will change, on the forge and in the cluster, and what it costs. Then apply it, or not.'],
] as const;

const snippet = [
  { text: 'jobs:' },
  { text: '  build:' },
  { text: '    runs-on: acme-nix', isNew: true },
  { text: '    steps:' },
  { text: '      - uses: actions/checkout@v5' },
  { text: '      - run: nix build' },
];

export default async function Landing() {
  const by = await currentPerson();
  return (
    <div className="mx-auto max-w-5xl px-4 sm:px-8">
      <header className="flex items-center justify-between py-6">
        <span className="flex items-center gap-2 text-lg font-semibold tracking-tight">
          <Mark size={24} />
          Flywheel
        </span>
        <div className="flex gap-2">
          <LinkButton href="/help" look="quiet">
            Guide
          </LinkButton>
          {by ? (
            <LinkButton href="/home">Open the portal</LinkButton>
          ) : (
            <LinkButton href="/sign-in">Sign in</LinkButton>
          )}
        </div>
      </header>
      <main id="main">
        <div className="grid items-center gap-8 py-12 lg:grid-cols-[1.2fr_1fr] lg:gap-16 lg:py-20">
          <div className="grid gap-6">
            <h1 className="text-3xl font-semibold tracking-tight">
              CI runners and caches for your organization, enrolled in five steps
            </h1>
            <p className="max-w-prose text-lg text-ink-2">
              GloriousFlywheel runs your workflows on shared capacity with isolated namespaces, quotas and caches. You
              choose, read the plan, and apply it. No ticket, no kubectl.
            </p>
            <div className="flex flex-wrap gap-3">
              <LinkButton href="/enroll" look="primary">
                Enroll a scope
              </LinkButton>
              <LinkButton href="/home">Open your tenants</LinkButton>
            </div>
          </div>
          <figure className="overflow-hidden rounded-lg border bg-surface">
            <figcaption className="border-b bg-sunken px-4 py-2 text-sm text-ink-2">
              All that a repository has to change
            </figcaption>
            <pre className="overflow-x-auto py-3 font-mono text-sm leading-relaxed">
              {snippet.map(({ text, isNew }) => (
                <span key={text} className={isNew ? 'block bg-good-soft px-4 text-good' : 'block px-4'}>
                  {isNew ? '+ ' : '  '}
                  {text}
                </span>
              ))}
            </pre>
          </figure>
        </div>
        <Part title="An enrollment has four dimensions">
          <ul className="grid gap-4 sm:grid-cols-2">
            {dimensions.map(({ icon, title, text }) => (
              <li key={title} className="grid content-start gap-2 rounded-lg border bg-surface p-5">
                <h3 className="flex items-center gap-2 font-semibold">
                  <span className="text-accent">{icon}</span>
                  {title}
                </h3>
                <p className="text-ink-2">{text}</p>
              </li>
            ))}
          </ul>
        </Part>
        <Part title="Five steps, and nothing changes before the last">
          <ol className="grid gap-x-6 gap-y-5 sm:grid-cols-2 lg:grid-cols-5">
            {steps.map(([name, text], index) => (
              <li key={name} className="border-t-2 border-accent pt-3">
                <h3 className="font-semibold">
                  <span className="tabular text-ink-3">{index + 1}.</span> {name}
                </h3>
                <p className="mt-1 text-ink-2">{text}</p>
              </li>
            ))}
          </ol>
        </Part>
      </main>
      <footer className="border-t py-6 text-sm text-ink-3">
        What is applied can be withdrawn: the same plan, read backwards, shows what is removed before it is.
      </footer>
    </div>
  );
}

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="border-t py-10">
      <h2 className="mb-6 text-xl font-semibold tracking-tight">{title}</h2>
      {children}
    </section>
  );
}
