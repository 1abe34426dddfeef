import { z } from 'zod';
import { command } from './command.ts';
import { confirm, yesOption } from './confirm.ts';
import { followUntil, timeoutMs, timeoutOption } from './follow.ts';
import { urlOption } from './login.ts';
import { counted, planAndApply, planWithdrawal, showPlan } from './plans.ts';
import { accessOf, Portal } from './portal.ts';
import { Enrollment } from './shapes.ts';
import { enrollmentOf, enrollmentPath } from './tenant.ts';
import { exitCodes } from './terminal.ts';

export const withdraw = command(
  {
    name: 'withdraw',
    args: ['TENANT/ENROLLMENT'],
    says: 'takes all of an enrollment away, at forge, cluster and cache; a draft is discarded',
    options: {
      url: urlOption,
      yes: yesOption,
      wait: { type: 'boolean', short: 'w', says: 'waits until nothing is left of it' },
      timeout: timeoutOption,
      note: { type: 'string', value: 'TEXT', says: 'what an operator reads, where one has to approve it' },
    },
  },
  async ({ terminal, values, args: [name = ''] }) => {
    const { tenant, enrollment } = enrollmentOf(name);
    const ms = timeoutMs(values.timeout);
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    const { id, state } = await portal.get(enrollmentPath(tenant, enrollment), Enrollment);
    const path = enrollmentPath(tenant, id);
    if (state === 'draft') {
      await confirm(terminal, values.yes, `Discard the draft ${name}?`);
      await portal.change('DELETE', path, undefined, z.undefined());
      terminal.out(`enrollment ${name} discarded\n`);
      return exitCodes.done;
    }
    if (state === 'active') {
      const again = () => planWithdrawal(portal, { name, tenant, id });
      const planned = await again();
      showPlan(terminal, planned, (text) => terminal.err(text), terminal.isErrTerminal);
      await confirm(terminal, values.yes, `Withdraw ${name}, by ${counted(planned)}?`);
      const told = { note: values.note ?? '', tries: values.yes ? 3 : 1, again };
      const { state: done, requestId } = await planAndApply(portal, planned, told);
      terminal.out(
        `enrollment ${name} ${done === 'applied' ? 'being withdrawn' : `waits for an operator: request ${requestId}`}\n`,
      );
      if (done === 'waiting') return exitCodes.waits;
    }
    if (!values.wait) return exitCodes.done;
    return followUntil(terminal, { portal, path, name, ms }, (line) => terminal.err(line));
  },
);
