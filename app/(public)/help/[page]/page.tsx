import type { Metadata } from 'next';
import { notFound } from 'next/navigation';
import { AppError } from '#lib/errors.ts';
import { guidePage, type GuidePage } from '#lib/guide/index.ts';
import { GuideArticle } from '../guide-article.tsx';

type Props = { params: Promise<{ page: string }> };

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: (await found((await params).page)).title };
}

async function found(name: string): Promise<GuidePage> {
  try {
    return await guidePage(name);
  } catch (error) {
    if (error instanceof AppError && error.code === 'not_found') notFound();
    throw error;
  }
}

export default async function GuidePageShown({ params }: Props) {
  return <GuideArticle page={await found((await params).page)} />;
}
