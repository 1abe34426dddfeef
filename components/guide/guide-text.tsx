import Link from 'next/link';
import type { ReactNode } from 'react';
import Markdown, { type Components } from 'react-markdown';
import rehypeSlug from 'rehype-slug';
import remarkGfm from 'remark-gfm';
import { CodeBlock } from '#components/ui/code.tsx';
import { Table, Td, Th, Tr } from '#components/ui/table.tsx';

type Props = {
  text: string;
  /** Where a link leads; null where it leads nowhere here. */
  hrefOf: (href: string) => string | null;
  /** Of pictures, by their link. */
  sizes?: ReadonlyMap<string, { width: number; height: number }>;
};

/** What a block of code is called above it, by what its fence says. */
const languages: Record<string, string> = {
  sh: 'Shell',
  yaml: 'YAML',
  json: 'JSON',
  hcl: 'OpenTofu',
  sql: 'SQL',
  js: 'JavaScript',
  ini: '.bazelrc',
  nix: 'Nix',
};

type CodeNode = { properties?: { className?: unknown }; children?: { value?: string }[] };

/** A fence: `pre` around `code` around one text. */
function Fence({ code }: { code: CodeNode }) {
  const language = /language-(\w+)/.exec(String(code.properties?.className))?.[1] ?? '';
  const text = (code.children?.[0]?.value ?? '').trimEnd();
  return (
    <div className="my-4">
      <CodeBlock text={text} label={languages[language] ?? 'Text'} />
    </div>
  );
}

function Heading({ level: Level, id, children }: { level: 'h2' | 'h3'; id?: string | undefined; children: ReactNode }) {
  return (
    <Level
      id={id}
      className={
        Level === 'h2'
          ? 'mt-10 mb-3 border-t pt-6 text-xl font-semibold tracking-tight'
          : 'mt-8 mb-2 max-w-prose scroll-mt-4 rounded-sm text-lg font-semibold target:bg-accent-soft'
      }
    >
      <a href={`#${id}`} className="hover:underline">
        {children}
      </a>
    </Level>
  );
}

const partsOf = ({ hrefOf, sizes }: Omit<Props, 'text'>): Components => ({
  h2: ({ id, children }) => (
    <Heading level="h2" id={id}>
      {children}
    </Heading>
  ),
  h3: ({ id, children }) => (
    <Heading level="h3" id={id}>
      {children}
    </Heading>
  ),
  // A picture alone takes the whole width: what is written in it is to be read.
  p: ({ children }) => <p className="my-3 max-w-prose has-[>img:only-child]:max-w-none">{children}</p>,
  ul: ({ children }) => <ul className="my-3 grid max-w-prose list-disc gap-1.5 pl-6">{children}</ul>,
  ol: ({ children }) => <ol className="my-3 grid max-w-prose list-decimal gap-2 pl-6">{children}</ol>,
  li: ({ children }) => <li className="min-w-0 pl-1">{children}</li>,
  strong: ({ children }) => <strong className="font-semibold">{children}</strong>,
  em: ({ children }) => <em>{children}</em>,
  a: ({ href = '', children }) => {
    const to = hrefOf(href);
    if (to === null) return children;
    const look = 'text-accent underline';
    if (!to.startsWith('/'))
      return (
        <a href={to} rel="noreferrer" className={look}>
          {children}
        </a>
      );
    return (
      <Link href={to} className={look}>
        {children}
      </Link>
    );
  },
  code: ({ children }) => (
    <code className="rounded-sm bg-sunken px-1 py-0.5 font-mono text-sm wrap-anywhere">{children}</code>
  ),
  pre: ({ node }) => <Fence code={node?.children[0] as CodeNode} />,
  table: ({ children }) => (
    <div className="my-4">
      <Table label="Table">{children}</Table>
    </div>
  ),
  thead: ({ children }) => <thead>{children}</thead>,
  tbody: ({ children }) => <tbody>{children}</tbody>,
  tr: ({ children }) => <Tr>{children}</Tr>,
  th: ({ children }) => <Th>{children}</Th>,
  td: ({ children }) => <Td className="min-w-32">{children}</Td>,
  img: ({ src, alt }) => {
    const link = String(src);
    const to = hrefOf(link);
    if (to === null) return alt;
    return (
      // oxlint-disable-next-line next/no-img-element -- the portal runs no image optimizer
      <img
        src={to}
        alt={alt ?? ''}
        {...sizes?.get(link)}
        loading="lazy"
        className="my-4 h-auto max-w-full rounded-lg border"
      />
    );
  },
});

/** A page of the guide as elements: HTML within the text is left out, and so is every kind of element that is not above. */
export function GuideText({ text, ...of }: Props) {
  const components = partsOf(of);
  return (
    <Markdown
      remarkPlugins={[remarkGfm]}
      rehypePlugins={[rehypeSlug]}
      components={components}
      allowedElements={Object.keys(components)}
      skipHtml
    >
      {text}
    </Markdown>
  );
}
