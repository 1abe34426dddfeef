'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { notFound } from '#lib/errors.ts';
import { markAllRead, markRead, NoticeId } from '#lib/notice/index.ts';
import { operatorAction } from '#lib/tenant/index.ts';

/** Read, and on to where it leads. */
export const openNotice = operatorAction('operator:see', NoticeId, async (by, { noticeId }) => {
  const notice = await markRead({ of: 'operator', by }, noticeId);
  if (!notice) throw notFound('This notice');
  revalidatePath('/operator', 'layout');
  if (notice.href) redirect(notice.href);
});

export const readNotice = operatorAction('operator:see', NoticeId, async (by, { noticeId }) => {
  if (!(await markRead({ of: 'operator', by }, noticeId))) throw notFound('This notice');
  revalidatePath('/operator', 'layout');
});

export const readAllNotices = operatorAction('operator:see', z.strictObject({}), async (by) => {
  await markAllRead({ of: 'operator', by });
  revalidatePath('/operator', 'layout');
});
