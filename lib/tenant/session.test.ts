import { expect, test } from 'vitest';
import { isOperatorIdentity, isSessionLive, sessionAbsoluteMs, sessionIdleMs, tokenHash } from './session.ts';

const start = new Date('2026-01-01T00:00:00Z');
const after = (ms: number) => new Date(start.getTime() + ms);

test('a session ends when idle, when old, and when it says so', () => {
  const session = { createdAt: start, lastSeenAt: start, expiresAt: after(sessionAbsoluteMs) };
  expect(isSessionLive(session, after(sessionIdleMs - 1))).toBe(true);
  expect(isSessionLive(session, after(sessionIdleMs))).toBe(false);
  const used = { ...session, lastSeenAt: after(sessionAbsoluteMs - 1), expiresAt: after(2 * sessionAbsoluteMs) };
  expect(isSessionLive(used, after(sessionAbsoluteMs - 1))).toBe(true);
  expect(isSessionLive(used, after(sessionAbsoluteMs))).toBe(false);
  expect(isSessionLive({ ...session, expiresAt: start }, start)).toBe(false);
});

test('operators are named by connection and subject, whole', () => {
  const operators = 'github:1001, forgejo:7';
  expect(isOperatorIdentity(operators, { connectionId: 'github', subject: '1001' })).toBe(true);
  expect(isOperatorIdentity(operators, { connectionId: 'forgejo', subject: '7' })).toBe(true);
  expect(isOperatorIdentity(operators, { connectionId: 'github', subject: '100' })).toBe(false);
  expect(isOperatorIdentity(operators, { connectionId: 'evil', subject: '1001' })).toBe(false);
  expect(isOperatorIdentity('', { connectionId: '', subject: '' })).toBe(false);
});

test('what is kept of a token is its SHA-256', () => {
  expect(tokenHash('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
});
