import type { Metadata } from 'next';
import { listNotices, NoticeQuery } from '#lib/notice/index.ts';
import { personPage } from '#lib/tenant/index.ts';
import { answerOf, NoticeList } from '#components/notice/notice-list.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { openNotice, readAllNotices, readNotice } from './actions.ts';

export const metadata: Metadata = { title: 'Your notices' };

const actions = { open: openNotice, read: readNotice, readAll: readAllNotices };

export default personPage(async (by, { searchParams }) => {
  const query = NoticeQuery.parse(searchParams);
  const found = await listNotices({ of: 'person', by }, query);
  return (
    <>
      <PageHeader
        title="Your notices"
        answer={`${answerOf(found)} Of all tenants that you belong to, and of your own.`}
      />
      <NoticeList
        path="/notices"
        page={found}
        {...query}
        actions={actions}
        empty="What your tenants are told comes together here, and what concerns you alone: a role that you lost."
      />
    </>
  );
});
