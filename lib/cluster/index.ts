/**
 * Kubernetes: what an enrollment stands for in a cluster, and the means to make it so.
 *
 * It promises: objects are built by pure functions (manifests.ts); writes are server-side applies by the field manager
 * `flywheel` with strict validation, sent only for what the watch-fed view lacks; a foreign namespace is never adopted and a
 * foreign field never forced; a delete carries the UID and hits only what bears our owner label. It touches the API server of
 * the connection that it is given. It reads no database and decides nothing: when to write is the reconciler's to say.
 */
export * from './apply.ts';
export {
  ClusterClient,
  ClusterRefused,
  clusterAway,
  fieldManager,
  objectPath,
  type ClusterConnection,
  type Kind,
} from './client.ts';
export { appliedAnnotation, appliedHash, fieldChanges, holds, isLater, stamped, type FieldChange } from './compare.ts';
export { clusterConnection, kubeconfigName, mounted, type ClusterWay } from './connection.ts';
export { KubeconfigRefused } from './kubeconfig.ts';
export { findController } from './controller.ts';
export { handOverSet, scaleSetIdOf } from './hand-over.ts';
export { ipRange, overlap, type IpRange } from './ip-range.ts';
export { lookAtTenant, type Look } from './look.ts';
export * from './manifests.ts';
export { holdsPlace, placePriority, placePriorityObject, placeSuffix } from './places.ts';
export { runnerPodRules, runnerPodsObjects, runnerPodsPolicy } from './runner-pods.ts';
export { tenantPart } from './tenant-part.ts';
export { tofuConfiguration } from './tofu-text.ts';
export { ClusterView, viewKinds, type Change, type Observed } from './view.ts';
