import type { WebhookReader } from '../forge/index.ts';
import type { ForgeKind } from '../model/index.ts';

export type Given = { headers: { get(name: string): string | null }; rawBody: Uint8Array };

/** `duplicate`: it was accepted before, and nothing was done again. */
export type Accepted = { status: 202; duplicate: boolean };

/** A webhook that there is: what it must be proven by, and what takes one of its deliveries in. */
export type Hook = { forge: ForgeKind; reader: WebhookReader; take: (given: Given) => Promise<Accepted> };
