/**
 * The doctor and the proof: what keeps an enrollment from working, and that it works.
 *
 * The doctor finds what is wrong from what is observed anyway (diagnose.ts: facts in, findings out), says it in plain words
 * with what was seen, and offers repairs. A repair is a plan first, tried by the API server without being done; what a person
 * applied the worker carries out, records in the audit, and looks after until it is gone or has not helped. The proof goes the
 * enrollment's whole way by schedule and on demand, from the credential at the forge to the caches, and keeps what each check
 * found; where a thing cannot be tried, what was looked at instead is said.
 *
 * It may touch the database, the cluster through the worker's view, and the forge and the caches by their ports. It changes
 * nothing outside but by a repair that somebody applied, and that only in objects that bear the tenant's owner label.
 */
export { examineEnrollment, type DoctorDeps } from './examine.ts';
export { wakeDoctor } from './wake.ts';
export { applyRepair, ApplyInput, askForLook, LookInput, proposeRepair, ProposeInput } from './repair.ts';
export { doctorView } from './view.ts';
export type { DoctorView, FindingView, OfferView, RepairView } from './view.ts';
export { proveEnrollment } from './proof.ts';
export { proofWorkflow } from './proof-route.ts';
export {
  AskProofInput,
  askForProof,
  BadgeInput,
  careOf,
  openBadge,
  openProof,
  proofView,
  RepositoryInput,
  setBadge,
  setProofRepository,
} from './proof-view.ts';
export type { Care, ProofRunView, ProofView } from './proof-view.ts';
