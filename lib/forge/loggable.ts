/**
 * What a forge said, for the log: cut, and without whatever may be a secret. A forge, or what stands before it, may repeat
 * a token that it did not like. Long words of small letters alone are the names of permissions and scopes, and stay.
 */
export function loggable(words: string): string {
  return words.replaceAll(/(?=[\w.=+-]*[\dA-Z])[\w.=+-]{16,}/g, '…').slice(0, 200);
}
