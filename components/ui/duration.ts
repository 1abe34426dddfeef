const minute = 60;
const hour = 60 * minute;
/** Where an axis of seconds may end, so that its middle is a time that people say. */
const ends = [1, 2, 4, 10, 20, 30, minute, 2 * minute, 4 * minute, 10 * minute, 20 * minute, 30 * minute];
const longEnds = [hour, 2 * hour, 4 * hour, 8 * hour, 12 * hour, 24 * hour, 48 * hour];

export function roundedUpSeconds(most: number): number {
  const days = 48 * hour;
  return [...ends, ...longEnds].find((end) => end >= most) ?? Math.ceil(most / days) * days;
}

/** Seconds as a person reads them: two units at most, and a tenth only where there is nothing larger. */
export function seconds(value: number): string {
  if (value < 10) return `${Number(value.toFixed(1))} s`;
  const whole = Math.round(value);
  if (whole < 60) return `${whole} s`;
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), 'd'],
    [Math.floor(whole / 3600) % 24, 'h'],
    [Math.floor(whole / 60) % 60, 'min'],
    [whole % 60, 's'],
  ];
  const from = parts.findIndex(([count]) => count > 0);
  return parts
    .slice(from, from + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(' ');
}
