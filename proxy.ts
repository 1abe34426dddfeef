import { NextResponse, type NextRequest } from 'next/server';
import { env } from '#lib/env.ts';

/*
 * Headers for every page, and one early refusal. It is no fence: each door asks for itself (lib/tenant), and is to hold
 * with this file gone.
 */

/** Called by programs that send no Origin and bring their own proof. */
const programPaths = ['/api/hooks/', '/api/v1/', '/api/state/', '/api/device/'];

function isOwnWrite(request: NextRequest): boolean {
  if (request.method === 'GET' || request.method === 'HEAD') return true;
  if (programPaths.some((path) => request.nextUrl.pathname.startsWith(path))) return true;
  return request.headers.get('origin') === new URL(env().PORTAL_URL).origin;
}

/** Scripts and styles run by nonce alone; nothing is loaded from elsewhere. */
function contentSecurityPolicy(nonce: string, path: string): string {
  const isDevelopment = env().NODE_ENV === 'development';
  const rules = [
    `default-src 'self'`,
    `script-src 'self' 'nonce-${nonce}' 'strict-dynamic'${isDevelopment ? " 'unsafe-eval'" : ''}`,
    // Next's development overlay brings styles without a nonce.
    isDevelopment ? `style-src 'self' 'unsafe-inline'` : `style-src 'self' 'nonce-${nonce}'`,
    `img-src 'self' data:`,
    `font-src 'self'`,
    `connect-src 'self'${isDevelopment ? ' ws:' : ''}`,
    `object-src 'none'`,
    `base-uri 'none'`,
    `frame-ancestors 'none'`,
  ];
  // Browsers hold form-action against redirects too, and signing in or confirming without scripts redirects to the forge. The other
  // page is a form to GitHub, which takes a new App's manifest in no other way.
  if (!['/sign-in', '/confirm', '/api/github/leave'].includes(path)) rules.push(`form-action 'self'`);
  if (env().PORTAL_URL.startsWith('https://')) rules.push('upgrade-insecure-requests');
  return rules.join('; ');
}

/** The path as the person asked for it, to come back to after signing in. */
function pathOf(url: URL): string {
  const search = new URLSearchParams(url.search);
  search.delete('_rsc');
  const text = search.toString();
  return text === '' ? url.pathname : `${url.pathname}?${text}`;
}

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The id that lib/web.ts gave the request; where Next runs by itself, its caller may have, and it is no more than a name. */
function requestIdOf(request: NextRequest): string {
  const given = request.headers.get('x-request-id') ?? '';
  return uuid.test(given) ? given : crypto.randomUUID();
}

export function proxy(request: NextRequest): NextResponse {
  const requestId = requestIdOf(request);
  if (!isOwnWrite(request)) {
    const body = { error: { happened: 'This request did not come from the portal’s own page.', requestId } };
    return NextResponse.json(body, { status: 403, headers: { 'x-request-id': requestId } });
  }
  const nonce = Buffer.from(crypto.randomUUID()).toString('base64');
  const policy = contentSecurityPolicy(nonce, request.nextUrl.pathname);
  const headers = new Headers(request.headers);
  headers.set('x-request-id', requestId);
  headers.set('x-portal-path', pathOf(request.nextUrl));
  headers.set('content-security-policy', policy);
  const response = NextResponse.next({ request: { headers } });
  response.headers.set('content-security-policy', policy);
  response.headers.set('x-request-id', requestId);
  response.headers.set('x-content-type-options', 'nosniff');
  response.headers.set('referrer-policy', 'same-origin');
  response.headers.set('cross-origin-opener-policy', 'same-origin');
  response.headers.set('permissions-policy', 'camera=(), geolocation=(), microphone=(), payment=(), usb=()');
  if (env().PORTAL_URL.startsWith('https://')) {
    response.headers.set('strict-transport-security', 'max-age=63072000; includeSubDomains');
  }
  return response;
}

/** Webhooks and states pass it by: it is for pages, and of a body that passes it Next keeps the first 10 MB, which no signature fits. */
export const config = {
  matcher: ['/((?!api/hooks/|api/state/|api/v1/|_next/static|_next/image|icon.svg|favicon.ico).*)'],
};
