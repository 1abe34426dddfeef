'use client';

import { useState } from 'react';
import { NoteField } from '#components/form/note-field.tsx';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { ChoiceCard, SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { QuotaFields, type QuotaText } from './quota-fields.tsx';

type Kind = 'team' | 'enterprise' | 'managed_customer';

type Props = {
  action: FormAction;
  /** Organizations and managed customers that the person administers, which may hold a team. */
  parents: { slug: string; displayName: string }[];
  first: { kind: Kind; parent: string };
  quotas: Record<Kind, QuotaText>;
};

const kinds: { kind: Kind; title: string; text: string }[] = [
  {
    kind: 'team',
    title: 'A team',
    text: 'Within an organization of yours: namespaces of its own and a share of the organization’s quota. Begins at once.',
  },
  {
    kind: 'enterprise',
    title: 'An enterprise',
    text: 'Above several organizations: one account pays for all, one view shows all. An operator approves it.',
  },
  {
    kind: 'managed_customer',
    title: 'A managed customer',
    text: 'Outside the house: operators manage what it runs, its people see and ask. An operator approves it.',
  },
];

/** Asks for a tenant that is no organization of one's own: those come with their first enrollment. */
export function NewTenantForm({ action, parents, first, quotas }: Props) {
  const form = useActionForm(action);
  const [kind, setKind] = useState<Kind>(form.valueOf('kind', first.kind) as Kind);
  const isTeam = kind === 'team';
  return (
    <form {...form.form} className="grid gap-5">
      {form.error ? <ErrorCallout error={form.error} /> : null}
      <fieldset className="grid gap-3">
        <legend className="mb-1 font-medium">Kind</legend>
        {kinds.map((each) => (
          <ChoiceCard
            key={each.kind}
            type="radio"
            name="kind"
            value={each.kind}
            title={each.title}
            checked={kind === each.kind}
            onChange={() => setKind(each.kind)}
            disabled={each.kind === 'team' && parents.length === 0}
          >
            {each.kind === 'team' && parents.length === 0 ? 'You administer no organization here.' : each.text}
          </ChoiceCard>
        ))}
      </fieldset>
      {isTeam ? (
        <SelectField
          name="parent"
          label="Organization"
          error={form.errorAt('parent')}
          defaultValue={form.valueOf('parent', first.parent)}
        >
          {parents.map(({ slug, displayName }) => (
            <option key={slug} value={slug}>
              {displayName} ({slug})
            </option>
          ))}
        </SelectField>
      ) : null}
      <TextField
        name="displayName"
        label="Name"
        help="What people read. It can be changed later."
        error={form.errorAt('displayName')}
        defaultValue={form.valueOf('displayName', '')}
        maxLength={80}
        required
      />
      <TextField
        name="slug"
        label="Slug"
        help="Names the namespaces and labels for good. Lower-case letters, digits and hyphens, at most 30."
        error={form.errorAt('slug')}
        defaultValue={form.valueOf('slug', '')}
        className="font-mono"
        maxLength={30}
        required
      />
      <QuotaFields
        key={kind}
        form={form}
        first={quotas[kind]}
        note={isTeam ? 'A share of what the organization has left.' : 'What is asked for; the operator may give less.'}
      />
      {isTeam ? null : (
        <NoteField form={form} label="Why" help="The operator reads it beside what it costs and whether it fits." />
      )}
      <div className="flex gap-2 pt-1">
        <SubmitButton pending={form.pending}>{isTeam ? 'Make the team' : 'Ask an operator'}</SubmitButton>
        <LinkButton href="/home?all" look="quiet">
          Leave it
        </LinkButton>
      </div>
    </form>
  );
}
