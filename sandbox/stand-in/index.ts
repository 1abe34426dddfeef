/**
 * What every stand-in of the sandbox is made of: an HTTP service on loopback, a state that a restart keeps, and plain pages.
 *
 * It promises: nothing here listens beyond this machine, nothing here starts in production, a body is bounded, a handler
 * that throws answers 500 and does not end the process, and what `save()` was told is on disk after `stop()`.
 * It does not do: TLS, streaming bodies, compression. A stand-in that needs those is no longer small.
 */
export {
  type Answer,
  type Ask,
  type Handler,
  Reply,
  type Service,
  type Socketlike,
  Routes,
  startService,
} from './http.ts';
export { type Kept, keepState } from './state.ts';
export { escapeHtml, html, type Html, page, raw } from './page.ts';
