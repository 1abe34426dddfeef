import Link from 'next/link';
import clsx from 'clsx';
import type { NoticePage, NoticeRow } from '#lib/notice/index.ts';
import { ButtonForm } from '#components/form/button-form.tsx';
import type { FormAction } from '#components/form/use-action-form.ts';
import { LinkButton } from '#components/ui/button.tsx';
import { RelativeTime } from '#components/ui/relative-time.tsx';
import { EmptyState } from '#components/ui/states.tsx';
import { Tag } from '#components/ui/status.tsx';

export type NoticeActions = { open: FormAction; read: FormAction; readAll: FormAction };

type Props = {
  path: string;
  page: NoticePage;
  show: 'all' | 'unread';
  before: string;
  actions: NoticeActions;
  empty: string;
};

/** What a page of notices answers in its first line. */
export function answerOf({ unread }: NoticePage): string {
  if (unread === 0) return 'Nothing is unread.';
  return unread >= 100 ? 'A hundred or more are unread.' : `${unread} ${unread === 1 ? 'is' : 'are'} unread.`;
}

export function NoticeList({ path, page, show, before, actions, empty }: Props) {
  const { rows, nextId, unread } = page;
  const older = new URLSearchParams({ ...(show === 'unread' ? { show } : {}), before: nextId ?? '' }).toString();
  return (
    <>
      <div className="mb-4 flex flex-wrap items-center justify-between gap-3">
        <Shown path={path} show={show} />
        {unread > 0 ? (
          <ButtonForm action={actions.readAll} look="secondary">
            Mark all as read
          </ButtonForm>
        ) : null}
      </div>
      {rows.length === 0 ? <None show={show} empty={empty} path={path} /> : null}
      <ul className={clsx('divide-y rounded-lg border bg-surface', rows.length === 0 && 'hidden')} aria-label="Notices">
        {rows.map((row) => (
          <li key={row.id}>
            <Notice row={row} actions={actions} />
          </li>
        ))}
      </ul>
      <div className="mt-4 flex flex-wrap gap-2">
        {before === '' ? null : <LinkButton href={path}>Newest</LinkButton>}
        {nextId ? <LinkButton href={`${path}?${older}`}>Older</LinkButton> : null}
      </div>
    </>
  );
}

function Shown({ path, show }: Pick<Props, 'path' | 'show'>) {
  const link = (value: Props['show'], label: string) => (
    <Link
      href={value === 'all' ? path : `${path}?show=${value}`}
      aria-current={show === value ? 'true' : undefined}
      className={clsx(
        'inline-flex min-h-8 items-center rounded-md px-3',
        show === value ? 'bg-sunken font-medium text-ink' : 'text-ink-2 hover:bg-sunken',
      )}
    >
      {label}
    </Link>
  );
  return (
    <nav aria-label="Which notices" className="flex gap-1">
      {link('all', 'All')}
      {link('unread', 'Unread')}
    </nav>
  );
}

function None({ show, empty, path }: Pick<Props, 'show' | 'empty' | 'path'>) {
  if (show === 'all') return <EmptyState title="No notice yet">{empty}</EmptyState>;
  return (
    <EmptyState title="All is read" action={<LinkButton href={path}>Show all notices</LinkButton>}>
      What comes next is shown here.
    </EmptyState>
  );
}

function Notice({ row, actions }: { row: NoticeRow; actions: NoticeActions }) {
  const { id, label, title, body, href, createdAt, isRead } = row;
  const about = <span className="sr-only">{`: ${title}`}</span>;
  return (
    <article className="grid gap-x-4 gap-y-2 px-4 py-3 sm:grid-cols-[minmax(0,1fr)_auto]">
      <div className="min-w-0">
        <h2 className={clsx('flex items-baseline gap-2 break-words', isRead ? 'text-ink-2' : 'font-semibold')}>
          {isRead ? null : (
            <>
              <span aria-hidden className="mt-1.5 size-2 shrink-0 self-start rounded-lg bg-accent" />
              <span className="sr-only">Unread: </span>
            </>
          )}
          <span className="min-w-0 break-words">{title}</span>
        </h2>
        <p className="mt-0.5 max-w-prose break-words text-ink-2">{body}</p>
        <p className="mt-1 flex flex-wrap items-center gap-2 text-sm text-ink-3">
          <Tag>{label}</Tag>
          <RelativeTime at={createdAt} />
        </p>
      </div>
      <div className="flex flex-wrap items-start gap-2">
        {href === null ? null : (
          <ButtonForm action={actions.open} fields={{ noticeId: id }} look="secondary" small>
            See to it{about}
          </ButtonForm>
        )}
        {isRead ? null : (
          <ButtonForm action={actions.read} fields={{ noticeId: id }} look="quiet" small>
            Mark as read{about}
          </ButtonForm>
        )}
      </div>
    </article>
  );
}
