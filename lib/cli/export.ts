import { command } from './command.ts';
import { Item } from './kinds.ts';
import { urlOption } from './login.ts';
import { yamlText } from './output.ts';
import { accessOf, Portal } from './portal.ts';
import { tenantOf, tenantOption } from './tenant.ts';
import { exitCodes } from './terminal.ts';

/** Named so, since `export` is a word of the language. */
export const exportDocuments = command(
  {
    name: 'export',
    args: [],
    says: 'prints what a tenant has, as the documents that ask for it',
    details: 'Applying them again changes nothing. Drafts are no part of it.',
    options: { url: urlOption, tenant: tenantOption },
  },
  async ({ terminal, values }) => {
    const portal = new Portal(terminal, accessOf(terminal, values.url));
    const tenant = await tenantOf(portal, values.tenant);
    const { items } = await portal.list(`/tenants/${encodeURIComponent(tenant)}/documents`, Item);
    terminal.out(items.map(yamlText).join('---\n'));
    return exitCodes.done;
  },
);
