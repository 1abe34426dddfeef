/** HTML that is already safe to send. Only `html` and `raw` make it. */
export interface Html {
  readonly safe: string;
}

type Part = string | number | Html | undefined | false | readonly Part[];

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
}

export function raw(text: string): Html {
  return { safe: text };
}

/** A tagged template that escapes everything that is put into it, except what another `html` made. */
export function html(strings: TemplateStringsArray, ...parts: Part[]): Html {
  return { safe: strings.map((s, i) => s + (i < parts.length ? render(parts[i]) : '')).join('') };
}

function render(part: Part): string {
  if (part === undefined || part === false) return '';
  if (typeof part === 'string' || typeof part === 'number') return escapeHtml(String(part));
  if (isList(part)) return part.map(render).join('');
  return part.safe;
}

function isList(part: Html | readonly Part[]): part is readonly Part[] {
  return Array.isArray(part);
}

const style = `
:root { color-scheme: light dark; --bg: light-dark(#f6f7f9, #0e1116); --card: light-dark(#fff, #171b22);
  --line: light-dark(#d5d9e0, #2d333d); --text: light-dark(#1b1f26, #e4e7ec); --soft: light-dark(#565e6c, #a0a8b5);
  --accent: light-dark(#0b5cad, #6cb2ff); }
* { box-sizing: border-box }
body { margin: 0; background: var(--bg); color: var(--text); font: 14px/1.5 system-ui, sans-serif }
main { max-width: 30rem; margin: 0 auto; padding: 2.5rem 1rem }
main.wide { max-width: 70rem }
h1 { font-size: 20px; line-height: 28px; margin: 0 0 4px } h2 { font-size: 16px; margin: 32px 0 8px }
p { margin: 0 0 16px; color: var(--soft) } a { color: var(--accent) }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px; margin: 0 0 16px }
.card h2 { margin-top: 0 }
.list { display: grid; gap: 8px; margin: 0; padding: 0; list-style: none }
button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 8px 12px; cursor: pointer }
button:hover { border-color: var(--accent) }
button.row { display: flex; width: 100%; gap: 12px; align-items: center; text-align: left }
button.primary { background: var(--accent); border-color: var(--accent); color: light-dark(#fff, #0e1116) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
.mark { flex: none; width: 32px; height: 32px; border-radius: 50%; display: grid; place-items: center;
  background: var(--accent); color: light-dark(#fff, #0e1116); font-weight: 600 }
.row small, .soft { display: block; color: var(--soft) }
fieldset { border: 1px solid var(--line); border-radius: 6px; margin: 0 0 16px; padding: 8px 12px }
label { display: block; padding: 4px 0 } label.field { font-weight: 600 }
input:not([type=radio]):not([type=checkbox]), select { font: inherit; color: inherit; background: var(--bg); width: 100%;
  border: 1px solid var(--line); border-radius: 6px; padding: 6px 8px }
.scroll { overflow-x: auto } table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: 6px 12px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top }
code { font: 13px ui-monospace, monospace }
footer { color: var(--soft); font-size: 13px; margin-top: 24px }
`;

/** One page of a stand-in. It says that it is one, so that nobody types a real password into it. */
export function page(
  title: string,
  content: Html,
  options: { wide?: boolean } = {},
): { headers: Record<string, string>; body: string } {
  const text = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>${title}</title>
        <style>
          ${raw(style)}
        </style>
      </head>
      <body>
        <main class="${options.wide ? 'wide' : ''}">
          ${content}
          <footer>A stand-in of the sandbox. It knows no passwords and reaches nothing outside this machine.</footer>
        </main>
      </body>
    </html>`;
  return { headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' }, body: text.safe };
}
