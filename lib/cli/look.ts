import { isDeepStrictEqual } from 'node:util';
import { AppError } from '../errors.ts';
import {
  amountsOf,
  EnrollmentSpec,
  samePath,
  type EnrollmentDocument,
  type FlywheelDocument,
  type TenantDocument,
} from '../model/index.ts';
import { differenceOf, fieldDifference, type Difference } from './difference.ts';
import type { Documents } from './documents.ts';
import { Item } from './kinds.ts';
import { yamlText } from './output.ts';
import type { Portal } from './portal.ts';
import { Enrollment, EnrollmentRow, Preview, Tenant, type Scope } from './shapes.ts';
import { enrollmentPath } from './tenant.ts';

/* What the portal has of what the documents name, and what differs. Nothing is changed by looking. */

export type EnrollmentLook = {
  /** `acme/app`. */
  name: string;
  document: EnrollmentDocument;
  /** As the portal has it; null where it is to be begun. */
  present: Enrollment | null;
  /** The document's, its pools in the order in which they were approved: that is no difference. */
  spec: EnrollmentSpec;
  preview: Preview | null;
  /** Approved as the document says, and on its way there. */
  isUnderWay: boolean;
  differences: Difference[];
  /** Why nothing can be said or done. */
  refusal: AppError | null;
};

export type TenantLook = {
  slug: string;
  document: TenantDocument | undefined;
  present: Tenant | null;
  /** Another quota than it has. */
  quota: Difference | null;
  refusal: AppError | null;
};

/** Approved in the portal, and in no document. */
export type Extra = { name: string; tenant: string; id: string };

export type Look = { tenants: TenantLook[]; enrollments: EnrollmentLook[]; extra: Extra[]; notes: string[] };

export async function lookAt(portal: Portal, { tenants, enrollments }: Documents): Promise<Look> {
  const look: Look = { tenants: [], enrollments: [], extra: [], notes: [] };
  const slugs = new Set([
    ...tenants.map(({ metadata }) => metadata.name),
    ...enrollments.map(({ metadata }) => metadata.tenant),
  ]);
  for (const slug of slugs) {
    const document = tenants.find(({ metadata }) => metadata.name === slug);
    const present = await portal.find(`/tenants/${slug}`, Tenant);
    look.tenants.push(tenantLook(slug, document, present));
    const own = enrollments.filter(({ metadata }) => metadata.tenant === slug);
    const rows = present ? await rowsOf(portal, slug) : [];
    for (const each of own) look.enrollments.push(await enrollmentLook(portal, each, rows));
    look.extra.push(...extraOf(slug, own, rows));
    if (present) look.notes.push(...(await credentialNotes(portal, slug, own)));
  }
  return look;
}

async function rowsOf(portal: Portal, slug: string): Promise<EnrollmentRow[]> {
  const { items } = await portal.list(`/tenants/${slug}/enrollments`, EnrollmentRow);
  return items.filter(({ state }) => state !== 'withdrawn');
}

function extraOf(tenant: string, own: readonly EnrollmentDocument[], rows: readonly EnrollmentRow[]): Extra[] {
  const named = new Set(own.map(({ metadata }) => metadata.name));
  return rows
    .filter(({ name, state }) => state === 'active' && !named.has(name))
    .map(({ name, id }) => ({ name: `${tenant}/${name}`, tenant, id }));
}

function refused(happened: string, todo: string): AppError {
  return new AppError('conflict', { log: happened, screen: { happened, todo } });
}

// ------------------------------------------------------------------------------------------------ tenants

function tenantLook(slug: string, document: TenantDocument | undefined, present: Tenant | null): TenantLook {
  const look: TenantLook = { slug, document, present, quota: null, refusal: null };
  if (!present)
    return document
      ? look
      : { ...look, refusal: refused(`There is no tenant ${slug}, or you may not see it.`, 'Add a document of it.') };
  if (!document) return look;
  const fixed = fieldDifference(
    `Tenant/${slug}`,
    { kind: present.kind, cluster: present.cluster, default: present.isDefault },
    { kind: document.spec.kind, cluster: document.spec.cluster, default: document.spec.default },
  );
  if (fixed) {
    const words = `${fixed.before?.join(', ')}, and the document says ${fixed.after?.join(', ')}`;
    return {
      ...look,
      refusal: refused(`Tenant ${slug} has ${words}.`, 'An operator may change that; mend the document.'),
    };
  }
  const isSame = isDeepStrictEqual(amountsOf(present.quota), amountsOf(document.spec.quota));
  const quota = isSame
    ? null
    : fieldDifference(`Tenant/${slug}`, { quota: present.quota }, { quota: document.spec.quota });
  return { ...look, quota };
}

// ------------------------------------------------------------------------------------------------ enrollments

async function enrollmentLook(
  portal: Portal,
  document: EnrollmentDocument,
  rows: readonly EnrollmentRow[],
): Promise<EnrollmentLook> {
  const { name, tenant } = document.metadata;
  const { pools, planes, scope } = document.spec;
  const base: EnrollmentLook = {
    name: `${tenant}/${name}`,
    document,
    present: null,
    spec: { pools, planes },
    preview: null,
    isUnderWay: false,
    differences: [],
    refusal: null,
  };
  const row = rows.find((each) => each.name === name);
  if (!row) return { ...base, differences: [begun(document)] };
  if (!isScope(row.scope, scope)) return { ...base, refusal: anotherScope(base.name, row) };
  return previewed(portal, base, row.id);
}

/** Forges know a path in whatever case it is written. */
function isScope(present: Scope, asked: Scope): boolean {
  return present.forge === asked.forge && present.level === asked.level && samePath(present.path, asked.path);
}

const begun = (document: EnrollmentDocument): Difference => ({
  name: `Enrollment/${document.metadata.tenant}/${document.metadata.name}`,
  before: null,
  after: yamlText(document).trimEnd().split('\n'),
});

function anotherScope(name: string, { scope }: EnrollmentRow): AppError {
  const happened = `Enrollment ${name} is of ${scope.level} ${scope.path} at ${scope.forge}, and the document names another scope.`;
  return refused(happened, 'A scope stays as it was enrolled: withdraw it, or take another name.');
}

/** What is different about one that is there. What the portal refuses of it is told of it, and keeps no other from being looked at. */
export async function previewed(portal: Portal, look: EnrollmentLook, id: string): Promise<EnrollmentLook> {
  const { tenant } = look.document.metadata;
  const path = enrollmentPath(tenant, id);
  try {
    const present = await portal.get(path, Enrollment);
    const approved = approvedSpec(present.spec);
    const spec = inOrder(look.spec, approved);
    const isSame = approved !== null && isDeepStrictEqual(spec, approved);
    if (isSame && present.observedGeneration < present.generation)
      return { ...look, present, spec, isUnderWay: true, differences: [] };
    const preview = await portal.change('POST', `${path}/preview`, { spec }, Preview);
    return { ...look, present, spec, ...told(look.name, { preview, approved, spec }) };
  } catch (error) {
    if (error instanceof AppError && error.code !== 'unauthenticated') return { ...look, refusal: error };
    throw error;
  }
}

type Compared = { preview: Preview; approved: EnrollmentSpec | null; spec: EnrollmentSpec };

function told(
  name: string,
  { preview, approved, spec }: Compared,
): Pick<EnrollmentLook, 'preview' | 'differences' | 'refusal'> {
  const own = approved === null ? null : fieldDifference(`Enrollment/${name}`, { spec: approved }, { spec });
  // What would be written to a cluster that does not answer is said unchecked, and would all seem to differ.
  if (!preview.clusterChecked && own === null && approved !== null)
    return { preview, differences: [], refusal: unchecked(name) };
  const objects = preview.differs ? preview.groups.flatMap(({ changes }) => changes.map(differenceOf)) : [];
  return { preview, differences: [...(own ? [own] : []), ...objects], refusal: null };
}

const unchecked = (name: string): AppError =>
  new AppError('unavailable', {
    log: 'the cluster did not answer',
    screen: {
      happened: `The cluster did not answer, so nobody can say whether ${name} differs there.`,
      todo: 'Look again when it is back.',
    },
  });

/** As it was approved, of which what was taken over from the cluster is no document's. */
function approvedSpec(value: unknown): EnrollmentSpec | null {
  const parsed = EnrollmentSpec.safeParse(value);
  if (!parsed.success) return null;
  return { ...parsed.data, pools: parsed.data.pools.map(({ adopted: _, ...choice }) => choice) };
}

function inOrder(spec: EnrollmentSpec, approved: EnrollmentSpec | null): EnrollmentSpec {
  const order = approved?.pools.map(({ pool }) => pool) ?? [];
  const place = (pool: string) => (order.includes(pool) ? order.indexOf(pool) : order.length);
  return { ...spec, pools: spec.pools.toSorted((a, b) => place(a.pool) - place(b.pool)) };
}

// ------------------------------------------------------------------------------------------------ credentials

/** They are compared and never sent: what an enrollment acts by is kept in the portal, and changed there. */
async function credentialNotes(portal: Portal, slug: string, own: readonly EnrollmentDocument[]): Promise<string[]> {
  const said = own.filter(({ spec }) => spec.credentials !== undefined);
  if (said.length === 0) return [];
  const { items } = await portal.list(`/tenants/${slug}/documents`, Item);
  return said.flatMap(({ metadata, spec }) => {
    const kept = (items as unknown as FlywheelDocument[]).find(
      (each) => each.kind === 'Enrollment' && each.metadata.name === metadata.name,
    );
    if (kept?.kind !== 'Enrollment' || isDeepStrictEqual(kept.spec.credentials, spec.credentials)) return [];
    const told = (value: unknown) => JSON.stringify(value);
    return [
      `${slug}/${metadata.name} acts by ${told(kept.spec.credentials)}, and its document says ${told(spec.credentials)}: that is changed in the portal, not by a document.`,
    ];
  });
}
