/**
 * Notices: what somebody should know without having asked, in the portal and at endpoints of a tenant's own.
 *
 * It promises that `notify` tells in the caller's transaction, once for each key, and that a tenant's people see what their
 * role may; that an endpoint is sent to through the guard alone, signed as Standard Webhooks has it, again and again for a
 * day, in the order in which things fell due; and that no secret is shown twice. A message may come more than once, always
 * under the same id. It may touch the database, and the network by the guard. It knows no enrollment, approval or bill: who
 * knows them says what to tell.
 */
export { noticeKinds, webhookKinds, type NoticeKind } from './kinds.ts';
export { notify, webhookTask, type NoticeInput } from './notify.ts';
export { countUnread, listNotices, markAllRead, markRead, NoticeId, NoticeQuery } from './inbox.ts';
export type { Inbox, NoticePage, NoticeRow } from './inbox.ts';
export {
  addEndpoint,
  changeEndpoint,
  ChangeEndpointInput,
  disableEndpoint,
  enableEndpoint,
  EndpointId,
  EndpointInput,
  endpointsMost,
  endpointView,
  listEndpoints,
  listMessages,
  MessageId,
  removeEndpoint,
  replayMessage,
  rotateSecret,
  sendTest,
} from './endpoint.ts';
export type { EndpointRow, MessageRow } from './endpoint.ts';
export { deliverDue, webhookFetch, type DeliverDeps } from './deliver.ts';
export { sweepNotices } from './sweep.ts';
export { oldestUnsent, type Unsent } from './unsent.ts';
