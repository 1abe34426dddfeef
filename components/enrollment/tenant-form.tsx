'use client';

import { useState } from 'react';
import { useActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { ChoiceCard, SelectField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { SharingChoice, type SharingChoiceProps } from '#components/pool/sharing-choice.tsx';
import { TokenField, type TokenHelp } from './token-form.tsx';

type Props = {
  action: FormAction;
  scope: { connectionId: string; level: string; path: string };
  /** The access token that has to be entered, where no App registers the runners. */
  token?: TokenHelp | null;
  tenants: { slug: string; displayName: string }[];
  suggested: { slug: string; displayName: string };
  /** Whose the new tenant's capacity shall be, in the model's words. */
  sharing: Omit<SharingChoiceProps, 'name' | 'chosen'>;
};

/** Step two: a tenant that the person administers, or a new one. */
export function TenantForm({ action, scope, token = null, tenants, suggested, sharing }: Props) {
  const form = useActionForm(action);
  const radio = (value: 'existing' | 'new') => ({
    type: 'radio' as const,
    name: 'choice',
    value,
    defaultChecked: form.valueOf('choice', 'existing') === value,
  });
  return (
    <form {...form.form} className="group grid gap-4">
      {Object.entries(scope).map(([name, value]) => (
        <input key={name} type="hidden" name={name} value={value} />
      ))}
      {form.error ? <ErrorCallout error={form.error} /> : null}
      {token ? <TokenField help={token} error={form.errorAt('token')} /> : null}
      {tenants.length > 0 ? (
        <div className="grid gap-3 sm:grid-cols-2">
          <ChoiceCard {...radio('existing')} title="A tenant that I administer">
            The enrollment shares its namespace, its quota and its bill. A dedicated one serves one account of a forge.
          </ChoiceCard>
          <ChoiceCard {...radio('new')} title="A new tenant">
            With a quota, namespaces and a bill of its own.
          </ChoiceCard>
        </div>
      ) : (
        <input type="hidden" name="choice" value="new" />
      )}
      {/* Which of the two is shown is the style sheet's matter, so that it also works before the scripts are there. */}
      {tenants.length > 0 ? (
        <div className="hidden group-has-[[value=existing]:checked]:block">
          <SelectField
            name="tenant.slug"
            label="Tenant"
            error={form.errorAt('tenant.slug')}
            defaultValue={form.valueOf('tenant.slug', tenants[0]?.slug ?? '')}
          >
            {tenants.map(({ slug, displayName }) => (
              <option key={slug} value={slug}>
                {displayName} ({slug})
              </option>
            ))}
          </SelectField>
        </div>
      ) : null}
      <div className={tenants.length > 0 ? 'hidden gap-4 group-has-[[value=new]:checked]:grid' : 'grid gap-4'}>
        <NewTenant form={form} suggested={suggested} />
        <SharingChoice
          name="tenant.new.sharing"
          chosen={form.valueOf('tenant.new.sharing', 'dedicated')}
          {...sharing}
        />
      </div>
      <div className="flex gap-2 pt-2">
        <SubmitButton pending={form.pending}>Continue to pools</SubmitButton>
        <LinkButton href="/enroll" look="quiet">
          Choose another scope
        </LinkButton>
      </div>
    </form>
  );
}

function NewTenant({ form, suggested }: { form: ReturnType<typeof useActionForm>; suggested: Props['suggested'] }) {
  const [slug, setSlug] = useState(form.valueOf('tenant.new.slug', suggested.slug));
  return (
    <>
      <TextField
        name="tenant.new.displayName"
        label="Name"
        help="What people read. It can be changed later."
        error={form.errorAt('tenant.new.displayName')}
        defaultValue={form.valueOf('tenant.new.displayName', suggested.displayName)}
        maxLength={80}
      />
      <TextField
        name="tenant.new.slug"
        label="Slug"
        help={
          <>
            Names the namespaces and labels for good, such as{' '}
            <code className="font-mono break-all">{slug === '' ? 'acme' : slug}-nix</code>. Lower-case letters, digits
            and hyphens, at most 30.
          </>
        }
        error={form.errorAt('tenant.new.slug')}
        value={slug}
        onChange={(event) => setSlug(event.target.value)}
        className="font-mono"
        maxLength={30}
      />
    </>
  );
}
