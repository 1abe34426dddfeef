// npm test [-- STAGE…]. Runs under any Node from 20 on with nothing installed: it installs what is missing, then hands
// over to the stages under the portal's own Node.
import { handOver, setUp } from './setup.mjs';

try {
  setUp();
  process.exitCode = await handOver('sandbox/test-support/stages.ts', process.argv.slice(2));
} catch (error) {
  console.error(error.message);
  console.log('0 passed, 1 failed');
  process.exitCode = 1;
}
