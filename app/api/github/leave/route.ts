import { z } from 'zod';
import { manifestForm } from '#lib/enrollment/index.ts';
import { notFound } from '#lib/errors.ts';
import { escapeHtml, htmlPage, personRoute } from '#lib/tenant/index.ts';

export const runtime = 'nodejs';

const Asked = z.object({ state: z.string().min(1).max(200) });

/**
 * The page between the portal and GitHub's own page for a new App. GitHub takes a manifest by a form alone, from another site;
 * this one sends itself, or by its button where scripts are off. Looking at it ends nothing.
 */
export const GET = personRoute('github-app:leave', async (by, request) => {
  const asked = Asked.safeParse(Object.fromEntries(new URL(request.url).searchParams));
  if (!asked.success) throw notFound();
  const { action, manifest } = await manifestForm(by, asked.data.state);
  // The nonce that proxy.ts lets this page's one script run by.
  const nonce = /'nonce-([\w+/=-]+)'/.exec(request.headers.get('content-security-policy') ?? '')?.[1] ?? '';
  return htmlPage(
    'To GitHub',
    `<h1>To GitHub</h1><p>GitHub now shows the new App and asks you to confirm it. Then you come back here.</p>
<form id="manifest" method="post" action="${escapeHtml(action)}">
<input type="hidden" name="manifest" value="${escapeHtml(JSON.stringify(manifest))}">
<button type="submit">Go on to GitHub</button></form>
<script nonce="${escapeHtml(nonce)}">document.getElementById('manifest').submit()</script>`,
  );
});
