import type { ShownError } from './door.ts';

/** Pages that a route answers by itself, where no page of ours is on the way: plain, with no style and nothing to load. */

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (mark) => entities[mark] ?? mark);
}

/** `body` is HTML already; whoever writes it escapes what is not theirs. */
export function htmlPage(title: string, body: string, status = 200): Response {
  const page = `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark"><title>${escapeHtml(title)}</title></head><body><main>${body}</main></body></html>`;
  return new Response(page, {
    status,
    headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
  });
}

/** What happened, whether anything was changed, what to do: for a browser that followed a link. */
export function errorPage(error: ShownError, status: number): Response {
  const said = [error.changed, error.todo].filter(Boolean).join(' ');
  return htmlPage(
    error.happened,
    `<h1>${escapeHtml(error.happened)}</h1><p>${escapeHtml(said)}</p>
<p><a href="/home">Back to the portal</a></p><p><small>Request ${escapeHtml(error.requestId)}</small></p>`,
    status,
  );
}
