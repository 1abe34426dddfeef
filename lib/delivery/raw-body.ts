import { AppError } from '../errors.ts';

/** GitHub sends nothing larger than 25 MB. */
export const rawBodyBytesMax = 25 * 1024 * 1024;

/** The bytes as they came, which is what was signed. Stops reading at the cap, whatever the headers said. */
export async function readRawBody(request: Request): Promise<Uint8Array> {
  if (Number(request.headers.get('content-length') ?? 0) > rawBodyBytesMax) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > rawBodyBytesMax) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

export function tooLarge(): AppError {
  return new AppError('too_large', {
    log: `webhook: the body is larger than ${rawBodyBytesMax} bytes`,
    screen: { happened: 'The delivery is larger than 25 MB.', todo: 'Nothing: no forge sends such a delivery.' },
  });
}
