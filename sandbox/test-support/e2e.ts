// What a browser test asks for besides the page: where the sandbox's other parts are.
import { Keepsakes, type Address } from '#sandbox/keepsakes.ts';

export function sandboxAddress(): Address {
  const address = new Keepsakes(process.env['SANDBOX_DATA_DIR'] ?? '.sandbox/e2e').address();
  if (!address) throw new Error('The sandbox has not said where it is; run browser tests with "npm test -- e2e".');
  return address;
}
