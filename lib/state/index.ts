/**
 * The operators' OpenTofu state: stacks, their locks and every version that was ever written.
 *
 * It promises that a state goes forward only (under the lock where one is held, in its own lineage, with a serial above all
 * before it), that what was kept is never changed or removed (but for the key that seals it), and that a program reaches the
 * one stack whose credential it shows. No tenant, and no role of a tenant, comes near it. It may touch the database and the
 * request. It runs neither OpenTofu nor anything that a state names.
 */
export { answerProgram } from './program.ts';
export {
  addStack,
  downloadState,
  forceUnlock,
  ForceUnlockInput,
  rollBack,
  RollBackInput,
  StackInput,
} from './stack.ts';
export {
  addCredential,
  CredentialInput,
  NewCredentialInput,
  revokeCredential,
  rotateCredential,
  type CredentialOnce,
} from './credential.ts';
export { backendBlock, diffView, listStacks, stackView } from './view.ts';
export type { CredentialRow, DiffView, LockView, StackRow, StackView, VersionRow } from './view.ts';
export type { ChangedResource, StateDiff } from './diff.ts';
export { stateBytesMost } from './limits.ts';
export { resealVersions, versionsByKey } from './reseal.ts';
