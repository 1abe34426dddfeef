import { NextResponse } from 'next/server';
import { env } from '#lib/env.ts';

/**
 * Where GitHub sends a person after they installed the App. The installation's id in the address proves nothing, since anybody
 * can write one there, so it is not read: the wizard asks the forge what this person administers.
 */
export function GET(): Response {
  return NextResponse.redirect(new URL('/enroll', env().PORTAL_URL), 303);
}
