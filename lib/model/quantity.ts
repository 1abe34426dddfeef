import { z } from 'zod';

/*
 * Kubernetes quantities as exact integers: CPU in millicores, memory in bytes. Exponents, signs and fractions of the
 * smallest unit are refused, though Kubernetes reads some of them: a quota is typed by a person and compared by us.
 * https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
 */

const cpuLeast = 1n;
const cpuMost = 100_000_000n; // 100,000 cores
const memoryLeast = 1024n ** 2n;
const memoryMost = 1024n ** 5n; // 1 Pi

const memoryUnits: Record<string, bigint> = {
  Ki: 1024n,
  Mi: 1024n ** 2n,
  Gi: 1024n ** 3n,
  Ti: 1024n ** 4n,
  Pi: 1024n ** 5n,
  k: 1000n,
  M: 1000n ** 2n,
  G: 1000n ** 3n,
  T: 1000n ** 4n,
};

function scaled(digits: string, unit: bigint): bigint | null {
  const [whole = '', fraction = ''] = digits.split('.');
  const denominator = 10n ** BigInt(fraction.length);
  const product = BigInt(whole + fraction) * unit;
  return product % denominator === 0n ? product / denominator : null;
}

function parseCpu(text: string): bigint | null {
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(m?)$/.exec(text);
  if (!match) return null;
  const millicores = scaled(match[1] ?? '', match[2] === 'm' ? 1n : 1000n);
  return millicores !== null && millicores >= cpuLeast && millicores <= cpuMost ? millicores : null;
}

function parseMemory(text: string): bigint | null {
  const match = /^(\d{1,16}(?:\.\d{1,3})?)(Ki|Mi|Gi|Ti|Pi|k|M|G|T)?$/.exec(text);
  if (!match) return null;
  const bytes = scaled(match[1] ?? '', match[2] ? (memoryUnits[match[2]] ?? 1n) : 1n);
  return bytes !== null && bytes >= memoryLeast && bytes <= memoryMost ? bytes : null;
}

export const CpuQuantity = z.string().refine((text) => parseCpu(text) !== null, 'is CPU cores such as 16, 0.5 or 500m');
export const MemoryQuantity = z
  .string()
  .refine((text) => parseMemory(text) !== null, 'is memory with its unit such as 32Gi or 512Mi, at most 1Pi');

/** Millicores of a quantity that was parsed at the edge. */
export function cpuMillicores(quantity: string): bigint {
  const parsed = parseCpu(quantity);
  if (parsed === null) throw new RangeError(`not a CPU quantity: ${JSON.stringify(quantity)}`);
  return parsed;
}

/** Bytes of a quantity that was parsed at the edge. */
export function memoryBytes(quantity: string): bigint {
  const parsed = parseMemory(quantity);
  if (parsed === null) throw new RangeError(`not a memory quantity: ${JSON.stringify(quantity)}`);
  return parsed;
}

/** The shortest exact form: 16, 500m. */
export function formatCpu(millicores: bigint): string {
  return millicores % 1000n === 0n ? String(millicores / 1000n) : `${millicores}m`;
}

/** The largest binary unit that is exact: 32Gi, 1536Mi. */
export function formatMemory(bytes: bigint): string {
  for (const unit of ['Pi', 'Ti', 'Gi', 'Mi', 'Ki'] as const) {
    const size = memoryUnits[unit] ?? 1n;
    if (bytes !== 0n && bytes % size === 0n) return `${bytes / size}${unit}`;
  }
  return String(bytes);
}
