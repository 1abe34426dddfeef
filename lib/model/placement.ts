import { z } from 'zod';

/*
 * Where a pool's runners run: by which container runtime, and on which nodes. The table `pool` refuses the same
 * (`is_placement` of the migrations), since operators write there.
 * https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
 * https://kubernetes.io/docs/concepts/scheduling-eviction/taint-and-toleration/
 */

const dnsName = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const dnsPath = `${dnsName}(?:\\.${dnsName}){0,3}`;
const word = '[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?';

/** Taints by which the cluster keeps its own nodes, and those that are not well: whoever bore them would run there. */
const clusterTaints = /^(?:[a-z0-9.-]+\.)?(?:kubernetes\.io|k8s\.io)\//;
/** Every node that runs runners is of Linux, which is rendered in any case. */
const alwaysLinux = 'kubernetes.io/os';

const LabelKey = z.string().regex(new RegExp(`^(?:${dnsPath}/)?${word}$`), 'is not the key of a label');
const LabelValue = z.string().regex(new RegExp(`^(?:${word})?$`), 'is not the value of a label');

export const Toleration = z
  .strictObject({
    /** Never empty: that would tolerate every taint. */
    key: LabelKey.refine((key) => !clusterTaints.test(key), 'is a taint of the cluster’s own'),
    /** Without a value, whatever the taint's is. */
    value: LabelValue.optional(),
    effect: z.enum(['NoSchedule', 'PreferNoSchedule', 'NoExecute']).optional(),
  })
  .describe('one taint that the runners bear');
export type Toleration = z.infer<typeof Toleration>;

/**
 * Kernels of a pod's own: one that a program plays (gVisor), and that of a virtual machine (Kata Containers). Such a pod has no
 * user namespace on the node's kernel: a kubelet refuses one in a runtime of which it is not told that it serves them, and
 * containerd asks no other than runc (containerd 2.2, runsc of May 2026; https://github.com/google/gvisor/issues/13303).
 */
export const ownKernels = ['sandbox', 'machine'] as const;
export type OwnKernel = (typeof ownKernels)[number];

const most = 10;

const PlacementFields = z.strictObject({
  /** A RuntimeClass of the cluster, such as `gvisor` or `kata`; the cluster's default runtime without one. */
  runtimeClass: z
    .string()
    .regex(new RegExp(`^${dnsPath}$`), 'is not the name of a RuntimeClass')
    .optional(),
  /** Which kernel a pod of that class runs on, as the operator states it; the node's where it is left out. */
  kernel: z.enum(ownKernels).optional(),
  /** Labels that a node must have. */
  nodeSelector: z
    .record(
      LabelKey.refine((key) => key !== alwaysLinux, 'is linux already'),
      LabelValue,
    )
    .refine((labels) => Object.keys(labels).length <= most, `has at most ${most} labels`)
    .optional(),
  /** Taints of the nodes that are kept for this pool's class of work. */
  tolerations: z.array(Toleration).max(most, `are at most ${most}`).optional(),
});

export const Placement = PlacementFields.refine(
  ({ runtimeClass, kernel }) => kernel === undefined || runtimeClass !== undefined,
  { path: ['kernel'], error: 'of a pod’s own comes by a runtime class, which must be named too' },
);
export type Placement = z.infer<typeof Placement>;

/** Whether a pod may come to nodes that are kept by another's taints: it bears all of them, whatever else it bears. */
export function bears(own: readonly Toleration[], taints: readonly Toleration[]): boolean {
  return taints.every((taint) =>
    own.some(
      ({ key, value, effect }) =>
        key === taint.key &&
        (value === undefined || taint.value === undefined || value === taint.value) &&
        (effect === undefined || taint.effect === undefined || effect === taint.effect),
    ),
  );
}
