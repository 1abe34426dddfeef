import type { Metadata } from 'next';
import { listNotices, NoticeQuery } from '#lib/notice/index.ts';
import { may, page } from '#lib/tenant/index.ts';
import { answerOf, NoticeList } from '#components/notice/notice-list.tsx';
import { LinkButton } from '#components/ui/button.tsx';
import { PageHeader } from '#components/ui/layout.tsx';
import { tenantTitle } from '../title.ts';
import { openNotice, readAllNotices, readNotice } from './actions.ts';

type Params = { tenant: string };

export function generateMetadata(props: { params: Promise<Params> }): Promise<Metadata> {
  return tenantTitle('Notices', props.params);
}

export default page<Params>('tenant:see', async (ctx, { searchParams }) => {
  const query = NoticeQuery.parse(searchParams);
  const found = await listNotices({ of: 'tenant', ctx }, query);
  const { slug } = ctx.tenant;
  const bound = {
    open: openNotice.bind(null, slug),
    read: readNotice.bind(null, slug),
    readAll: readAllNotices.bind(null, slug),
  };
  return (
    <>
      <PageHeader
        title="Notices"
        answer={answerOf(found)}
        actions={
          may(ctx.role, 'settings:see') ? (
            <LinkButton href={`/t/${slug}/settings/webhooks`}>Send them to a webhook</LinkButton>
          ) : null
        }
      />
      <NoticeList
        path={`/t/${slug}/notices`}
        page={found}
        {...query}
        actions={bound}
        empty="What needs somebody of this tenant is told here: an enrollment that is not ready, a token that ends, an answer from the operator."
      />
    </>
  );
});
