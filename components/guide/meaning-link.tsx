import Link from 'next/link';

/** To the paragraph of the guide about a word that the portal says: a condition's reason, or a kind of finding. */
export function MeaningLink({ word, of }: { word: string; of: string }) {
  return (
    <Link href={`/help/troubleshoot#${word.toLowerCase()}`} className="whitespace-nowrap text-accent underline">
      What this means<span className="sr-only">: {of}</span>
    </Link>
  );
}
