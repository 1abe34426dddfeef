#!/usr/bin/env node
import { ownTerminal, run } from './cli/index.ts';

/** `flywheel`, on this machine's own terminal. */
process.exitCode = await run(ownTerminal(), process.argv.slice(2));
