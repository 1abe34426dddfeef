import {
  cpuMillicores,
  formatCpu,
  formatMemory,
  hasDaemon,
  memoryBytes,
  runnersNamespaceOf,
} from '#lib/model/index.ts';
import { labels, restrictedPod, runnerUid, type KubernetesObject, type RenderedPool } from './objects.ts';

/*
 * What a pool's class puts beside its runner: a BuildKit that builds images, or a Docker daemon that runs containers too. It is a
 * sidecar among the init containers, so that jobs find it up and the pod ends without it, and it alone deviates from what every
 * other container is held to (runner-pods.ts).
 *
 * Facts. BuildKit 0.34, docs/rootless.md: its rootless image runs as 1000 and makes a user namespace of its own by newuidmap, which
 * wants privilege escalation, the two capabilities below and neither seccomp nor AppArmor; `--oci-worker-no-process-sandbox` does
 * without another /proc. The image asks for users from 100000 on, and a pod with `hostUsers: false` has 65,536: there
 * newuidmap fails, and within the pod's own it builds (both seen, with 0.34.2 in a user namespace of that size). ARC 0.14.2's template of `dind`:
 * the socket, its group, and the runner's folders at the same paths in both containers.
 */

const folder = '/flywheel/daemon';
const socketVolume = { name: 'daemon', mountPath: folder };
const buildkitUid = 1000;
const buildkitSocket = `unix://${folder}/buildkitd.sock`;
const dockerSocket = `unix://${folder}/docker.sock`;

export type Daemon = {
  /** A sidecar: an init container that goes on. */
  container: Record<string, unknown>;
  /** Of the container that runs jobs. */
  env: { name: string; value: string }[];
  mounts: object[];
  volumes: object[];
};

type Size = Pick<RenderedPool, 'cpu' | 'memory' | 'storage'>;

/**
 * A pool's size is that of a whole pod. Where its work is the daemon's, the runner has a quarter of it, which fetches and waits,
 * and the daemon the rest.
 */
export function partsOf(pool: RenderedPool): { runner: RenderedPool; daemon: Size } {
  if (!hasDaemon(pool.securityClass)) return { runner: pool, daemon: { cpu: '0', memory: '0', storage: '0' } };
  const [cpu, memory, storage] = [cpuMillicores(pool.cpu), memoryBytes(pool.memory), memoryBytes(pool.storage)];
  const size = (share: (whole: bigint) => bigint): Size => ({
    cpu: formatCpu(share(cpu)),
    memory: formatMemory(share(memory)),
    storage: formatMemory(share(storage)),
  });
  const runner = size((whole) => whole / 4n);
  return { runner: { ...pool, ...runner }, daemon: size((whole) => whole - whole / 4n) };
}

/** The daemon of a pool's class; null of the class that has none. `shared` are the runner's folders that containers may mount. */
export function daemonOf(pool: RenderedPool, shared: readonly object[]): Daemon | null {
  if (!hasDaemon(pool.securityClass)) return null;
  const { daemon } = partsOf(pool);
  const { daemonImage: image } = pool;
  if (!image) throw new RangeError(`pool ${pool.name} has no daemon image`);
  return pool.securityClass === 'builds' ? buildkit(image, daemon) : docker(image, daemon, shared);
}

function sidecar(image: string, { cpu, memory, storage }: Size): Record<string, unknown> {
  const size = { cpu, memory, 'ephemeral-storage': storage };
  return { image, imagePullPolicy: 'Always', restartPolicy: 'Always', resources: { requests: size, limits: size } };
}

/** A minute's patience, asked every two seconds. */
function startupProbe(...command: string[]): object {
  return { exec: { command }, periodSeconds: 2, timeoutSeconds: 5, failureThreshold: 30 };
}

function volumesOf({ storage }: Size): object[] {
  return [
    { name: 'daemon', emptyDir: { sizeLimit: '16Mi' } },
    { name: 'daemon-state', emptyDir: { sizeLimit: storage } },
  ];
}

const mounted = [{ ...socketVolume, readOnly: true }];

function buildkit(image: string, size: Size): Daemon {
  const ids = ['subuid', 'subgid'].map((file) => ({
    name: 'subids',
    mountPath: `/etc/${file}`,
    subPath: file,
    readOnly: true,
  }));
  return {
    container: {
      name: 'buildkitd',
      ...sidecar(image, size),
      args: [`--addr=${buildkitSocket}`, '--oci-worker-no-process-sandbox'],
      securityContext: {
        privileged: false,
        allowPrivilegeEscalation: true,
        runAsNonRoot: true,
        runAsUser: buildkitUid,
        runAsGroup: buildkitUid,
        capabilities: { drop: ['ALL'], add: ['SETGID', 'SETUID'] },
        seccompProfile: { type: 'Unconfined' },
        appArmorProfile: { type: 'Unconfined' },
      },
      startupProbe: startupProbe('buildctl', `--addr=${buildkitSocket}`, 'debug', 'workers'),
      volumeMounts: [socketVolume, { name: 'daemon-state', mountPath: '/home/user/.local/share/buildkit' }, ...ids],
    },
    env: [{ name: 'BUILDKIT_HOST', value: buildkitSocket }],
    mounts: mounted,
    volumes: [...volumesOf(size), { name: 'subids', configMap: { name: subidsName } }],
  };
}

function docker(image: string, size: Size, shared: readonly object[]): Daemon {
  return {
    container: {
      name: 'dockerd',
      ...sidecar(image, size),
      args: ['dockerd', `--host=${dockerSocket}`, `--group=${runnerUid}`],
      // Without it the image would make certificates for a port that is not opened.
      env: [{ name: 'DOCKER_TLS_CERTDIR', value: '' }],
      securityContext: { privileged: true, runAsNonRoot: false, runAsUser: 0, runAsGroup: 0 },
      startupProbe: startupProbe('docker', `--host=${dockerSocket}`, 'info'),
      volumeMounts: [socketVolume, { name: 'daemon-state', mountPath: '/var/lib/docker' }, ...shared],
    },
    env: [{ name: 'DOCKER_HOST', value: dockerSocket }],
    mounts: mounted,
    volumes: volumesOf(size),
  };
}

/** Users of its own on the node's kernel; whoever has a kernel of its own has that in the place of them. */
export function usersOf({ placement }: Pick<RenderedPool, 'placement'>): { hostUsers?: false } {
  return placement?.kernel === undefined ? { hostUsers: false } : {};
}

/**
 * Of a pod that runs jobs. Beside a daemon no group is given to the pod's volumes, since it would become that of each image's
 * root folder; the runner is in BuildKit's group instead, to which the socket belongs.
 */
export function podSecurityOf({ securityClass }: Pick<RenderedPool, 'securityClass'>): Record<string, unknown> {
  if (!hasDaemon(securityClass)) return restrictedPod(runnerUid);
  const { fsGroup: _, ...restricted } = restrictedPod(runnerUid);
  return securityClass === 'builds' ? { ...restricted, supplementalGroups: [buildkitUid] } : restricted;
}

const subidsName = 'flywheel-subids';

/** The users that BuildKit gives to what it builds: all that a pod has but its own, 0 to 65534 as an image counts them. */
export function subids(slug: string): KubernetesObject {
  const mine = `user:1:${buildkitUid - 1}\nuser:${buildkitUid + 1}:${65_536 - buildkitUid - 1}\n`;
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: subidsName, namespace: runnersNamespaceOf(slug, 'builds'), labels: labels(slug) },
    data: { subuid: mine, subgid: mine },
  };
}
