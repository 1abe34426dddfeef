import { z } from 'zod';
import { listStacks, stackView } from '#lib/state/index.ts';
import { listAudit } from '#lib/tenant/index.ts';
import { cut, operatorOperation, PageQuery, pageOf, tenantOperation, type Operation } from '../operation.ts';
import { AuditShape, StackShape, StackVersionShape } from '../shapes.ts';

const name = z.string().max(200).default('');

export const records: Operation[] = [
  tenantOperation(
    'audit:see',
    {
      id: 'listAudit',
      method: 'GET',
      path: '/tenants/{tenant}/audit',
      tag: 'Audit',
      summary: 'Who did what, newest first',
      query: PageQuery.extend({
        cursor: z.guid().optional().describe('`nextCursor` of the page before.'),
        action: name,
        actor: name,
        target: name,
        from: z.iso.date().optional().describe('A day in UTC.'),
        to: z.iso.date().optional().describe('A day in UTC, the last included.'),
      }),
      answer: pageOf(AuditShape),
    },
    async (ctx, { query: { limit, cursor = '', from = '', to = '', ...filter } }) => {
      const { rows, nextId } = await listAudit(ctx, { ...filter, from, to, tenant: '', before: cursor }, limit);
      return { items: rows, nextCursor: nextId };
    },
  ),
  operatorOperation(
    'operator:see',
    {
      id: 'listStacks',
      method: 'GET',
      path: '/operator/state',
      tag: 'State',
      summary: 'Stacks of OpenTofu state, and who holds their locks',
      query: PageQuery,
      answer: pageOf(StackShape),
    },
    async (_by, { query }) => cut(await listStacks(), query, (stack) => stack.name),
  ),
  operatorOperation(
    'operator:see',
    {
      id: 'listStackVersions',
      method: 'GET',
      path: '/operator/state/{stack}/versions',
      tag: 'State',
      summary: 'Versions of a stack, newest first, 50 a page; never what is in them',
      query: z.strictObject({
        cursor: z
          .string()
          .regex(/^\d{1,9}$/)
          .optional()
          .describe('`nextCursor` of the page before.'),
      }),
      answer: pageOf(StackVersionShape),
    },
    async (_by, { params, query, now }) => {
      const before = query.cursor === undefined ? undefined : Number(query.cursor);
      const { versions, nextBefore } = await stackView(params['stack'] ?? '', now, before);
      return { items: versions, nextCursor: nextBefore === null ? null : String(nextBefore) };
    },
  ),
];
