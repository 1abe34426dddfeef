import type { Theme } from '#components/ui/theme-switch.tsx';

/** What the cookie says; anything else is the system's own choice. */
export function themeOf(value: string | undefined): Theme {
  return value === 'light' || value === 'dark' ? value : 'system';
}
