/**
 * The fleet: which execution clusters there are, how each is reached, how it is, and on which of them a tenant is placed.
 *
 * It promises that the way to a cluster is a file that an operator mounted, or the portal's own account, and nothing that a
 * browser sent; that no tenant is placed on a cluster that is closed or draining, that lacks a pool which the tenant wants, or that is
 * another by a second name; and that pages read what a worker last wrote and ask no cluster.
 *
 * It may touch the database and, from the worker alone, the API servers. It moves no tenant: that is lib/tenancy's, by a plan.
 */
export { podsHeld } from './held.ts';
export { enterCluster, type ClusterEntry, type Entered } from './enter.ts';
export { lookAtCluster, clusterTask, type FleetDeps } from './look.ts';
export { choosePlace, mayHave, takesTenants, type Candidate } from './placement.ts';
export { candidates, placeFor, type Wanted } from './place.ts';
export { clusterAt } from './way.ts';
export {
  CapacityInput,
  clusterRoom,
  givenTo,
  hasRoom,
  holders,
  setCapacity,
  standsOn,
  whoStandsOn,
  type ClusterRoom,
} from './room.ts';
export { setClusterState, StateInput } from './state.ts';
