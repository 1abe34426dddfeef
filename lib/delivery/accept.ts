export type DeliveryInput = {
  connectionId: string;
  headers: { get(name: string): string | null };
  rawBody: Uint8Array;
};

/** `duplicate`: it was accepted before; nothing was done again. */
export type Accepted = { status: 202; duplicate: boolean };

export declare function acceptDelivery(input: DeliveryInput): Promise<Accepted>;
