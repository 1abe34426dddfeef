const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];

/** Decimal, as disks and invoices have it; three figures say enough. */
export function bytes(count: number): string {
  const power = count < 1000 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(count) / 3));
  const value = count / 1000 ** power;
  const digits = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toLocaleString('en', { maximumFractionDigits: digits })} ${units[power]}`;
}

/** A share of 1 in whole hundredths; what is less than a half is not nothing. */
export function percent(share: number): string {
  const hundredths = share * 100;
  if (hundredths > 0 && hundredths < 0.5) return 'under 1 %';
  if (hundredths < 100 && hundredths > 99.5) return 'over 99 %';
  return `${Math.round(hundredths)} %`;
}

/** An axis' middle may fall between two whole things. */
export function count(value: number): string {
  return value.toLocaleString('en', { maximumFractionDigits: 1, notation: value >= 100_000 ? 'compact' : 'standard' });
}
