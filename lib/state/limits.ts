/** A state of ten thousand resources is some 20 MB; what is larger is better in several stacks. */
export const stateBytesMost = 32 * 1024 * 1024;
/** What all states together may hold in this process while they arrive or leave. */
export const bytesInFlightMost = 160 * 1024 * 1024;
export const lockInfoBytesMost = 64 * 1024;
/** A state arrives within this or not at all. */
export const readMsMost = 120_000;
/** After a rotation the secret before it counts for this long too, so that what runs comes to its end. */
export const bothSecretsMs = 24 * 3_600_000;
/** Use is written down this often at most. */
export const usedEveryMs = 60_000;
/** As many as one page shows. */
export const stacksMost = 500;
