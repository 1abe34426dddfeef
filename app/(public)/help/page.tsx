import type { Metadata } from 'next';
import { guidePage } from '#lib/guide/index.ts';
import { GuideArticle } from './guide-article.tsx';

export const metadata: Metadata = { title: 'Guide' };

export default async function Guide() {
  return <GuideArticle page={await guidePage()} />;
}
