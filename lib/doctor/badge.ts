/* The proof as a picture for a README. */

export type Standing = 'held' | 'broken' | 'stale' | 'none';

const words: Record<Standing, string> = {
  held: 'proven',
  broken: 'broken',
  stale: 'not proven lately',
  none: 'not proven yet',
};

/** Of enough contrast with white text on both of a README's grounds (WCAG AA). */
const grounds: Record<Standing, string> = { held: '#1a7f37', broken: '#b3261e', stale: '#7a5c00', none: '#57606a' };

const letterPx = 6.6;
const padPx = 8;
const heightPx = 20;

const widthOf = (text: string) => Math.round(text.length * letterPx + 2 * padPx);

/** An SVG of two fields, as READMEs have them: what it is, and how it stands. `day` is an ISO date, where there is one. */
export function badge(standing: Standing, day: string | null): string {
  const name = 'runners and caches';
  const said = day === null ? words[standing] : `${words[standing]} ${day}`;
  const [left, right] = [widthOf(name), widthOf(said)];
  const at = (x: number, width: number, text: string) =>
    `<text x="${x + width / 2}" y="14" textLength="${width - 2 * padPx}" lengthAdjust="spacingAndGlyphs">${text}</text>`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${left + right}" height="${heightPx}" role="img" aria-label="${name}: ${said}">`,
    `<title>${name}: ${said}</title>`,
    `<rect width="${left + right}" height="${heightPx}" rx="3" fill="#30363d"/>`,
    `<path d="M${left} 0h${right - 3}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-${right - 3}z" fill="${grounds[standing]}"/>`,
    `<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">`,
    at(0, left, name),
    at(left, right, said),
    '</g></svg>',
  ].join('');
}
