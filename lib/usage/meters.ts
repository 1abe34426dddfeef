/*
 * What is counted. A reading is cumulative: all that a source used from its beginning to the instant of the reading. What a
 * runner asked for follows from how long it ran, so it needs no reading of its own.
 */

/** What sources are read for, each with the most that one second of one source can add. */
const readMeters = {
  /** From the pod's start to its end. */
  runnerSeconds: '1',
  /** What its containers burnt, where the cluster has a metrics API. */
  cpuCoreSecondsUsed: '1024',
  memoryGibSecondsUsed: '16384',
  /** A view's paths, or a disk that is kept for a cache, for as long as they are kept. */
  cacheGibHours: '300',
  bazelGibHours: '300',
  cacheTransferGib: '100',
} as const;

/** What a runner asked for, for each second that it ran. */
const derivedMeters = ['cpuCoreSeconds', 'memoryGibSeconds', 'gpuSeconds'] as const;

export type ReadMeter = keyof typeof readMeters;
export type Meter = ReadMeter | (typeof derivedMeters)[number];

export const readMeterNames = Object.keys(readMeters) as ReadMeter[];
export const meterNames: readonly Meter[] = [...readMeterNames, ...derivedMeters];

/** The most that one second can add to a reading, as a decimal. */
export function mostPerSecond(meter: ReadMeter): string {
  return readMeters[meter];
}

type Words = { label: string; unit: string; service: 'runners' | 'cache' };

/** What people read; the unit is that of one of them. */
export const meterWords: Record<Meter, Words> = {
  runnerSeconds: { label: 'Runner time', unit: 'Seconds', service: 'runners' },
  cpuCoreSeconds: { label: 'CPU asked for', unit: 'Core-Seconds', service: 'runners' },
  memoryGibSeconds: { label: 'Memory asked for', unit: 'GiB-Seconds', service: 'runners' },
  gpuSeconds: { label: 'GPU', unit: 'GPU-Seconds', service: 'runners' },
  cpuCoreSecondsUsed: { label: 'CPU used', unit: 'Core-Seconds', service: 'runners' },
  memoryGibSecondsUsed: { label: 'Memory used', unit: 'GiB-Seconds', service: 'runners' },
  cacheGibHours: { label: 'Nix cache storage', unit: 'GiB-Hours', service: 'cache' },
  bazelGibHours: { label: 'Bazel cache storage', unit: 'GiB-Hours', service: 'cache' },
  cacheTransferGib: { label: 'Cache transfer', unit: 'GiB', service: 'cache' },
};

/** A price of any of these is a price of a pool's runners. */
export const poolMeters: readonly Meter[] = ['runnerSeconds', 'cpuCoreSeconds', 'memoryGibSeconds', 'gpuSeconds'];
