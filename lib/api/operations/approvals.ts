import {
  answer,
  AnswerInput,
  approvals as queue,
  approve,
  ApproveInput,
  askBack,
  reject,
  requestsOf,
  requestView,
  takeBack,
  WordsInput,
} from '#lib/tenancy/index.ts';
import { cut, operatorOperation, PageQuery, pageOf, tenantOperation, type Operation } from '../operation.ts';
import { ApprovalRowShape, RequestShape, RequestWithMessagesShape } from '../shapes.ts';

const request = '/tenants/{tenant}/requests/{request}';
const decided = '/operator/requests/{request}';

export const approvals: Operation[] = [
  tenantOperation(
    'request:see',
    {
      id: 'listRequests',
      method: 'GET',
      path: '/tenants/{tenant}/requests',
      tag: 'Approvals',
      summary: 'What the tenant has asked operators for, open requests first',
      query: PageQuery,
      answer: pageOf(RequestShape),
    },
    async (ctx, { query }) => cut(await requestsOf(ctx), query, ({ id }) => id),
  ),
  tenantOperation(
    'request:see',
    {
      id: 'getRequest',
      method: 'GET',
      path: request,
      tag: 'Approvals',
      summary: 'A request, with what was said',
      answer: RequestWithMessagesShape,
    },
    async (ctx, { params }) => requestView(ctx, params['request'] ?? ''),
  ),
  tenantOperation(
    'request:make',
    {
      id: 'answerRequest',
      method: 'POST',
      path: `${request}/answer`,
      tag: 'Approvals',
      summary: 'Answer an operator’s question',
      body: AnswerInput.omit({ requestId: true }),
    },
    async (ctx, { params, body }) => answer(ctx, { requestId: params['request'] ?? '', text: body.text }),
  ),
  tenantOperation(
    'request:make',
    {
      id: 'takeBackRequest',
      method: 'POST',
      path: `${request}/take-back`,
      tag: 'Approvals',
      summary: 'Take a request back',
    },
    async (ctx, { params }) => takeBack(ctx, { requestId: params['request'] ?? '' }),
  ),
  operatorOperation(
    'operator:see',
    {
      id: 'listApprovals',
      method: 'GET',
      path: '/operator/requests',
      tag: 'Approvals',
      summary: 'Requests that wait: for operators, oldest first, then for an answer',
      query: PageQuery,
      answer: pageOf(ApprovalRowShape),
    },
    async (_by, { query }) => {
      const { open, asked } = await queue();
      return cut([...open, ...asked], query, ({ id }) => id);
    },
  ),
  operatorOperation(
    'operator:change',
    {
      id: 'approveRequest',
      method: 'POST',
      path: `${decided}/approve`,
      tag: 'Approvals',
      summary: 'Grant a request, as asked for or changed',
      description: 'A plan that waited for it is applied.',
      scope: 'apply',
      body: ApproveInput.omit({ requestId: true }),
    },
    async (by, { params, body }) => approve(by, { requestId: params['request'] ?? '', ...body }),
  ),
  operatorOperation(
    'operator:change',
    {
      id: 'rejectRequest',
      method: 'POST',
      path: `${decided}/reject`,
      tag: 'Approvals',
      summary: 'Refuse a request, with the reason',
      body: WordsInput.omit({ requestId: true }),
    },
    async (by, { params, body }) => reject(by, { requestId: params['request'] ?? '', ...body }),
  ),
  operatorOperation(
    'operator:change',
    {
      id: 'askBack',
      method: 'POST',
      path: `${decided}/ask`,
      tag: 'Approvals',
      summary: 'Ask the tenant something before deciding',
      body: WordsInput.omit({ requestId: true }),
    },
    async (by, { params, body }) => askBack(by, { requestId: params['request'] ?? '', ...body }),
  ),
];
