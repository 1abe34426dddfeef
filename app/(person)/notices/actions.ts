'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { notFound } from '#lib/errors.ts';
import { markAllRead, markRead, NoticeId } from '#lib/notice/index.ts';
import { personAction } from '#lib/tenant/index.ts';

/** Read, and on to where it leads. */
export const openNotice = personAction(NoticeId, async (by, { noticeId }) => {
  const notice = await markRead({ of: 'person', by }, noticeId);
  if (!notice) throw notFound('This notice');
  revalidatePath('/', 'layout');
  if (notice.href) redirect(notice.href);
});

export const readNotice = personAction(NoticeId, async (by, { noticeId }) => {
  if (!(await markRead({ of: 'person', by }, noticeId))) throw notFound('This notice');
  revalidatePath('/', 'layout');
});

export const readAllNotices = personAction(z.strictObject({}), async (by) => {
  await markAllRead({ of: 'person', by });
  revalidatePath('/', 'layout');
});
