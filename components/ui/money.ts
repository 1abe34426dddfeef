/** An exact decimal as money that a person reads; small amounts keep what makes them more than nothing. */
export function money(amount: string, currency: string): string {
  const value = Number(amount);
  const isSmall = value !== 0 && Math.abs(value) < 0.01;
  return value.toLocaleString('en', { style: 'currency', currency, maximumFractionDigits: isSmall ? 6 : 2 });
}

/** Runner-seconds as hours, the unit that rates are told in. */
export function hours(seconds: string): string {
  return (Number(seconds) / 3600).toLocaleString('en', { maximumFractionDigits: 2 });
}
