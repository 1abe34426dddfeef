export const ROOT: string;
export const NODE: string;
export function setUp(say?: (line: string) => void): void;
export function generateClient(say?: (line: string) => void): void;
export function handOver(script: string, args: string[]): Promise<number>;
