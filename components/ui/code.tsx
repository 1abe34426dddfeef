import { CopyButton } from './copy-button.tsx';

/** Text to take along. The button is above it, where a long line cannot run under it. */
export function CodeBlock({ text, label, copy = 'Copy' }: { text: string; label: string; copy?: string }) {
  return (
    <figure className="overflow-hidden rounded-lg border bg-surface">
      <figcaption className="flex items-center justify-between gap-2 border-b bg-sunken px-3 py-1.5 text-sm text-ink-2">
        <span>{label}</span>
        <CopyButton text={text} label={copy} />
      </figcaption>
      <pre tabIndex={0} aria-label={label} className="overflow-x-auto p-3 font-mono text-sm leading-relaxed">
        {text}
      </pre>
    </figure>
  );
}

export function Mono({ children }: { children: string }) {
  return <span className="font-mono text-sm break-all">{children}</span>;
}
