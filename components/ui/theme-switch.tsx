'use client';

import { useState } from 'react';
import { Monitor, Moon, Sun } from 'lucide-react';
import { Button } from './button.tsx';

export type Theme = 'system' | 'light' | 'dark';

const next: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const icons = { system: Monitor, light: Sun, dark: Moon };
const yearSeconds = 31_536_000;

/** A cookie keeps the choice, so that the server writes it into the page and nothing flashes. */
export function ThemeSwitch({ theme: first }: { theme: Theme }) {
  const [theme, setTheme] = useState(first);
  const Icon = icons[theme];
  function change() {
    const chosen = next[theme];
    document.cookie = `theme=${chosen};path=/;max-age=${yearSeconds};samesite=lax`;
    if (chosen === 'system') delete document.documentElement.dataset['theme'];
    else document.documentElement.dataset['theme'] = chosen;
    setTheme(chosen);
  }
  return (
    <Button
      look="quiet"
      small
      onClick={change}
      aria-label={`Theme: ${theme}. Change to ${next[theme]}.`}
      title={`Theme: ${theme}`}
    >
      <Icon size={16} aria-hidden />
    </Button>
  );
}
