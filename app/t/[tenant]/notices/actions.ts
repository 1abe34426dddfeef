'use server';

import { revalidatePath } from 'next/cache';
import { redirect } from 'next/navigation';
import { z } from 'zod';
import { notFound } from '#lib/errors.ts';
import { markAllRead, markRead, NoticeId } from '#lib/notice/index.ts';
import { action } from '#lib/tenant/index.ts';

/** Read, and on to where it leads. */
export const openNotice = action('tenant:see', NoticeId, async (ctx, { noticeId }) => {
  const notice = await markRead({ of: 'tenant', ctx }, noticeId);
  if (!notice) throw notFound('This notice');
  revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
  if (notice.href) redirect(notice.href);
});

export const readNotice = action('tenant:see', NoticeId, async (ctx, { noticeId }) => {
  if (!(await markRead({ of: 'tenant', ctx }, noticeId))) throw notFound('This notice');
  revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
});

export const readAllNotices = action('tenant:see', z.strictObject({}), async (ctx) => {
  await markAllRead({ of: 'tenant', ctx });
  revalidatePath(`/t/${ctx.tenant.slug}`, 'layout');
});
