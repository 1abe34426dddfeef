/** The flywheel: a rim that gathers way, three bent spokes, a hub. */
export function Mark({ size = 24 }: { size?: number }) {
  return (
    <svg width={size} height={size} viewBox="0 0 32 32" aria-hidden className="shrink-0 text-accent">
      <g fill="none" stroke="currentColor" strokeWidth="2.5" strokeLinecap="round">
        <circle cx="16" cy="16" r="13" strokeDasharray="68 13.7" transform="rotate(-62 16 16)" />
        <path d="M16 12.5C16 9 17.6 7 20.4 6M19.03 17.75C22.06 19.5 23 21.9 22.46 24.8M12.97 17.75C9.94 19.5 7.4 19.1 5.14 17.2" />
      </g>
      <circle cx="16" cy="16" r="3.5" fill="currentColor" />
    </svg>
  );
}
