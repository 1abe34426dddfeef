import { NextResponse, type NextRequest } from 'next/server';
import { env } from '#lib/env.ts';
import { finishSignIn } from '../sign-in.ts';

type Context = { params: Promise<{ nextauth: string[] }> };

function signInPage(error: string | null): Response {
  const url = new URL('/sign-in', env().PORTAL_URL);
  if (error) url.searchParams.set('error', error);
  return NextResponse.redirect(url, 303);
}

/**
 * Where a forge sends a person back to, and next-auth's own redirects after an error. Everything else that next-auth could
 * answer here is left out: signing in and out are actions.
 */
export async function GET(request: NextRequest, { params }: Context): Promise<Response> {
  const { nextauth: parts } = await params;
  const [what] = parts;
  if (what === 'callback' && parts.length === 2) {
    // An unknown forge, or one that cannot be opened, is told like any other sign-in that did not come about.
    return finishSignIn(request, parts).catch(() => signInPage('OAuthCallback'));
  }
  if (what === 'error' || what === 'signin') return signInPage(request.nextUrl.searchParams.get('error'));
  return new Response(null, { status: 404 });
}
