import type { Metadata } from 'next';
import { listNotices, NoticeQuery } from '#lib/notice/index.ts';
import { operatorPage } from '#lib/tenant/index.ts';
import { answerOf, NoticeList } from '#components/notice/notice-list.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { openNotice, readAllNotices, readNotice } from './actions.ts';

export const metadata: Metadata = { title: 'Notices to operators' };

const actions = { open: openNotice, read: readNotice, readAll: readAllNotices };

export default operatorPage('operator:see', async (by, { searchParams }) => {
  const query = NoticeQuery.parse(searchParams);
  const found = await listNotices({ of: 'operator', by }, query);
  return (
    <>
      <PageHeader title="Notices" answer={answerOf(found)} />
      <NoticeList
        path="/operator/notices"
        page={found}
        {...query}
        actions={actions}
        empty="Requests that need an operator’s approval are told here, and tenants that left."
      />
    </>
  );
});
