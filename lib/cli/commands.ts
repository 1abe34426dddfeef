import { apply } from './apply.ts';
import type { Command } from './command.ts';
import { completionOf } from './completion.ts';
import { diff } from './diff.ts';
import { exportDocuments } from './export.ts';
import { follow } from './follow.ts';
import { get } from './get.ts';
import { config, render, version } from './local.ts';
import { login, logout } from './login.ts';
import { operator } from './operator.ts';
import { plan } from './plans.ts';
import { api } from './raw.ts';
import { withdraw } from './withdraw.ts';

/** All that the command line can do. */
export const commands: readonly Command[] = [
  login,
  logout,
  get,
  diff,
  plan,
  apply,
  follow,
  withdraw,
  exportDocuments,
  operator,
  render,
  api,
  config,
  completionOf(() => commands),
  version,
];
