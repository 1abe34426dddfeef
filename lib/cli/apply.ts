import { isDeepStrictEqual } from 'node:util';
import { AppError } from '../errors.ts';
import { amountsOf } from '../model/index.ts';
import { beginEnrollment, beginTenant, changeQuota, tokenFiles, type Begun } from './begin.ts';
import { command } from './command.ts';
import { confirm, yesOption } from './confirm.ts';
import { differenceText } from './difference.ts';
import { tellNotes, tellRefusal, tellRefusals } from './diff.ts';
import { filesOption, readDocuments, type Documents } from './documents.ts';
import { followUntil, timeoutMs, timeoutOption } from './follow.ts';
import { lookAt, previewed, type EnrollmentLook, type Look, type TenantLook } from './look.ts';
import { urlOption } from './login.ts';
import {
  changesOf,
  counted,
  makePlan,
  planAndApply,
  planWithdrawal,
  showPlan,
  waitingRequest,
  type Planned,
} from './plans.ts';
import { accessOf, Portal } from './portal.ts';
import { Tenant } from './shapes.ts';
import { enrollmentPath } from './tenant.ts';
import { exitCodes, paintFor, type ExitCode, type Terminal } from './terminal.ts';

type Values = {
  yes?: boolean;
  wait?: boolean;
  prune?: boolean;
  note?: string;
  timeout?: string;
  'token-for'?: string[];
};

export const apply = command(
  {
    name: 'apply',
    args: [],
    says: 'makes what there is as documents say: begins, plans and applies what differs',
    details:
      'It may be run again and again: what is as its document says is left as it is. It shows what would change and asks before it begins something, and again before anything outside the portal is written. Credentials in a document are compared, and never sent. What is in no document is left alone, unless it is to be pruned.',
    options: {
      url: urlOption,
      file: filesOption,
      yes: yesOption,
      wait: { type: 'boolean', short: 'w', says: 'waits until what was applied is ready' },
      timeout: timeoutOption,
      prune: { type: 'boolean', says: 'withdraws enrollments of the documents’ tenants that are in no document' },
      note: { type: 'string', value: 'TEXT', says: 'what an operator reads, where one has to approve it' },
      'token-for': {
        type: 'string',
        multiple: true,
        value: 'TENANT/ENROLLMENT=FILE',
        says: 'the access token that an enrollment at GitLab is begun with, in a file; may be repeated',
      },
    },
  },
  async ({ terminal, values }) => {
    const tokens = tokenFiles(values['token-for']);
    const wait = timeoutMs(values.timeout);
    const documents = await readDocuments(terminal, values.file);
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    return new Applying(terminal, portal, values, tokens, wait).run(documents);
  },
);

/** One run of it: what is told as it goes, and how it ends. */
class Applying {
  readonly #terminal: Terminal;
  readonly #portal: Portal;
  readonly #values: Values;
  readonly #tokens: ReadonlyMap<string, string>;
  readonly #waitMs: number;
  #refused = false;
  #waits = false;

  constructor(terminal: Terminal, portal: Portal, values: Values, tokens: ReadonlyMap<string, string>, waitMs: number) {
    this.#terminal = terminal;
    this.#portal = portal;
    this.#values = values;
    this.#tokens = tokens;
    this.#waitMs = waitMs;
  }

  async run(documents: Documents): Promise<ExitCode> {
    const look = await lookAt(this.#portal, documents);
    tellNotes(this.#terminal, look, this.#values.prune);
    this.#refused = tellRefusals(this.#terminal, look);
    const enrollments = await this.#begin(look);
    for (const { name, preview, refusal, isUnderWay } of enrollments)
      if (!refusal && (isUnderWay || preview?.differs === false)) this.#say(`enrollment ${name} unchanged`);
    const planned = await this.#plan(enrollments, this.#values.prune ? look.extra : []);
    const applied = await this.#apply(planned);
    const underWay = enrollments
      .filter(({ isUnderWay }) => isUnderWay)
      .map(({ name, document, present }) => ({
        name,
        path: enrollmentPath(document.metadata.tenant, present?.id ?? name),
      }));
    if (this.#values.wait) await this.#follow([...underWay, ...applied]);
    if (this.#refused) return exitCodes.refused;
    return this.#waits ? exitCodes.waits : exitCodes.done;
  }

  #say(line: string): void {
    this.#terminal.out(`${line}\n`);
  }

  /** One that is refused keeps no other from being done. */
  async #each<T>(name: string, run: () => Promise<T>): Promise<T | null> {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof AppError) || error.code === 'unauthenticated') throw error;
      tellRefusal(this.#terminal, name, error);
      this.#refused = true;
      return null;
    }
  }

  #told(what: string, begun: Begun | null): void {
    if (!begun) return;
    this.#say(`${what} ${begun.words}`);
    this.#waits ||= begun.waits;
  }

  // ---------------------------------------------------------------------------------------------- in the portal

  /** What is not there yet, and quotas; answers all enrollments as they are then. */
  async #begin({ tenants, enrollments }: Look): Promise<EnrollmentLook[]> {
    const usable = tenants.filter(({ refusal }) => refusal === null);
    const absent = enrollments.filter(({ document, present, refusal }) => {
      const isUsable = usable.some(({ slug }) => slug === document.metadata.tenant);
      return !present && !refusal && isUsable;
    });
    const news = usable.filter(({ present, document }) => !present && document !== undefined);
    const quotas = usable.filter(({ quota }) => quota !== null);
    if (absent.length + news.length + quotas.length === 0) return enrollments;
    this.#showBegun(news, quotas, absent);
    await confirm(this.#terminal, this.#values.yes, 'Begin these in the portal? Nothing outside it is written yet.');
    const waiting = await this.#beginTenants(news, absent);
    for (const { slug, document } of quotas)
      if (document)
        this.#told(`tenant ${slug}`, await this.#each(slug, () => changeQuota(this.#portal, document, this.#note)));
    return this.#beginEnrollments(enrollments, { absent, tenants: usable, waiting });
  }

  get #note(): string {
    return this.#values.note ?? '';
  }

  #showBegun(news: readonly TenantLook[], quotas: readonly TenantLook[], absent: readonly EnrollmentLook[]): void {
    const paint = paintFor(this.#terminal, this.#terminal.isErrTerminal);
    for (const { slug } of news) this.#terminal.err(`Tenant ${slug} is not there yet.\n`);
    this.#terminal.err(
      differenceText(
        quotas.flatMap(({ quota }) => quota ?? []),
        paint,
      ),
    );
    for (const { differences } of absent) this.#terminal.err(differenceText(differences, paint));
  }

  /** Slugs of those in which nothing can begin before an operator has said yes. */
  async #beginTenants(news: readonly TenantLook[], absent: readonly EnrollmentLook[]): Promise<Set<string>> {
    const waiting = new Set<string>();
    for (const { slug, document } of news) {
      if (!document) continue;
      const isOrganization = document.spec.kind === 'organization';
      const hasFirst = absent.some((each) => each.document.metadata.tenant === slug);
      if (isOrganization && hasFirst) continue;
      const begun = await this.#each(slug, () =>
        isOrganization ? noFirst(slug) : beginTenant(this.#portal, document),
      );
      this.#told(`tenant ${slug}`, begun);
      if (!begun || begun.waits) waiting.add(slug);
    }
    return waiting;
  }

  async #beginEnrollments(
    all: readonly EnrollmentLook[],
    {
      absent,
      tenants,
      waiting,
    }: { absent: readonly EnrollmentLook[]; tenants: readonly TenantLook[]; waiting: ReadonlySet<string> },
  ): Promise<EnrollmentLook[]> {
    const begun = new Map<string, EnrollmentLook>();
    const made = new Set<string>();
    for (const each of absent) {
      const { tenant: slug } = each.document.metadata;
      const own = tenants.find((tenant) => tenant.slug === slug);
      if (!own || waiting.has(slug)) continue;
      // The first enrollment of a new organization makes it, and those after it find it there.
      const isNew = own.present === null && own.document?.spec.kind === 'organization' && !made.has(slug);
      const tenant = isNew ? own : { ...own, document: undefined };
      const id = await this.#each(each.name, () => beginEnrollment(this.#portal, each, tenant, this.#tokens));
      if (id === null) continue;
      this.#say(`enrollment ${each.name} begun`);
      if (isNew) await this.#quotaOfNew(own);
      made.add(slug);
      const seen = await previewed(this.#portal, each, id);
      if (seen.refusal) this.#refused = tellRefusal(this.#terminal, each.name, seen.refusal) !== exitCodes.done;
      begun.set(each.name, seen);
    }
    return all.map((each) => begun.get(each.name) ?? each);
  }

  /** A new organization has the standard quota, whatever its document says. */
  async #quotaOfNew({ slug, document }: TenantLook): Promise<void> {
    if (!document) return;
    const begun = await this.#each(slug, async () => {
      const { quota } = await this.#portal.get(`/tenants/${slug}`, Tenant);
      const isSame = isDeepStrictEqual(amountsOf(quota), amountsOf(document.spec.quota));
      return isSame ? null : changeQuota(this.#portal, document, this.#note);
    });
    this.#told(`tenant ${slug}`, begun);
  }

  // ---------------------------------------------------------------------------------------------- outside

  async #plan(enrollments: readonly EnrollmentLook[], extra: Look['extra']): Promise<Step[]> {
    const steps: Step[] = [];
    for (const each of enrollments.filter(({ preview, refusal }) => preview?.differs && !refusal)) {
      const request = await this.#each(each.name, () => waitingRequest(this.#portal, each));
      if (request !== null) {
        this.#told(`enrollment ${each.name}`, { words: `waits for an operator: request ${request}`, waits: true });
        continue;
      }
      const again = () => makePlan(this.#portal, each);
      const planned = await this.#each(each.name, again);
      if (planned) steps.push({ planned, again, done: `applied: ${counted(planned)}` });
    }
    for (const each of extra) {
      const again = () => planWithdrawal(this.#portal, each);
      const planned = await this.#each(each.name, again);
      if (planned) steps.push({ planned, again, done: 'being withdrawn, since it is in no document' });
    }
    return steps;
  }

  async #apply(steps: readonly Step[]): Promise<Followed[]> {
    if (steps.length === 0) return [];
    for (const { planned } of steps)
      showPlan(this.#terminal, planned, (text) => this.#terminal.err(text), this.#terminal.isErrTerminal);
    const withdrawn = steps.filter(({ done }) => done.startsWith('being withdrawn')).map(({ planned }) => planned.name);
    const also = withdrawn.length === 0 ? '' : ` This withdraws ${withdrawn.join(', ')}.`;
    const changes = steps.reduce((sum, { planned }) => sum + changesOf(planned).length, 0);
    await confirm(
      this.#terminal,
      this.#values.yes,
      `Apply ${changes === 1 ? '1 change' : `${changes} changes`}?${also}`,
      'Nothing outside the portal was changed.',
    );
    const followed: Followed[] = [];
    for (const { planned, again, done } of steps) {
      const { name, tenant, plan } = planned;
      const tries = this.#values.yes ? 3 : 1;
      const answer = await this.#each(name, () =>
        planAndApply(this.#portal, planned, { note: this.#note, tries, again }),
      );
      if (!answer) continue;
      const waits = answer.state === 'waiting';
      this.#told(`enrollment ${name}`, {
        words: waits ? `waits for an operator: request ${answer.requestId}` : done,
        waits,
      });
      if (!waits) followed.push({ name, path: enrollmentPath(tenant, plan.enrollmentId) });
    }
    return followed;
  }

  async #follow(all: readonly Followed[]): Promise<void> {
    for (const { name, path } of all) {
      const wanted = { portal: this.#portal, path, name, ms: this.#waitMs };
      const code = await followUntil(this.#terminal, wanted, (line) => this.#terminal.err(line));
      this.#waits ||= code === exitCodes.waits;
      this.#refused ||= code === exitCodes.refused;
    }
  }
}

type Step = { planned: Planned; again: () => Promise<Planned>; done: string };
type Followed = { name: string; path: string };

function noFirst(slug: string): Promise<never> {
  const happened = `An organization begins with its first enrollment, and none of ${slug} is in the documents.`;
  return Promise.reject(new AppError('invalid', { log: happened, screen: { happened, todo: 'Add one.' } }));
}
