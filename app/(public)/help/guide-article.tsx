import { helpHref, type GuidePage } from '#lib/guide/index.ts';
import { GuideText } from '#components/guide/guide-text.tsx';
import { PageHeader } from '#components/ui/layout.tsx';

export function GuideArticle({ page: { title, text, sizes } }: { page: GuidePage }) {
  return (
    <article>
      <PageHeader title={title} />
      <GuideText text={text} hrefOf={helpHref} sizes={sizes} />
    </article>
  );
}
