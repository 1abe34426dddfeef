// npm start. Runs under any Node from 20 on with nothing installed: it installs what is missing, then hands over to up.ts
// under the portal's own Node.
import { handOver, setUp } from './setup.mjs';

try {
  setUp();
  process.exitCode = await handOver('sandbox/up.ts', process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
