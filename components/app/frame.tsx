import clsx from 'clsx';
import Link from 'next/link';
import { BookOpen, LogOut, Shield, UserRound } from 'lucide-react';
import type { ReactNode } from 'react';
import { ButtonForm } from '#components/form/button-form.tsx';
import type { FormAction } from '#components/form/use-action-form.ts';
import { KeptFields } from '#components/ui/confirm-link.tsx';
import { Bell, type BellProps } from '#components/notice/bell.tsx';
import { Mark } from '#components/ui/mark.tsx';
import { ThemeSwitch, type Theme } from '#components/ui/theme-switch.tsx';
import { NavLink } from './nav-link.tsx';
import { PaletteKey, type Place } from './palette-key.tsx';
import { PhoneMenu } from './phone-menu.tsx';

export type FramePerson = { name: string; isOperator: boolean };
export type NavItem = { href: string; label: string; icon: ReactNode; exact?: boolean };

type FrameProps = {
  person: FramePerson;
  theme: Theme;
  signOut: FormAction;
  /** The operators' own area carries its own colour, so that nobody acts there unawares. */
  area: 'person' | 'tenant' | 'operator';
  top?: ReactNode;
  items: NavItem[];
  /** The notices of this area. */
  bell: BellProps;
  /** Where the palette leads beside the pages of the rail. */
  places?: Place[];
  banner?: ReactNode;
  children: ReactNode;
};

const common: Place[] = [
  { href: '/home?all', label: 'Your tenants' },
  { href: '/enroll', label: 'Enroll a scope' },
  { href: '/account', label: 'Your account' },
  { href: '/help', label: 'Guide' },
];

/** The rail on the left, or above on a narrow screen, and the page beside it. */
export function Frame({ area, banner, children, bell, places = [], ...rail }: FrameProps) {
  const isOperator = area === 'operator';
  return (
    <div className="min-h-dvh md:grid md:grid-cols-[15rem_minmax(0,1fr)]">
      <aside
        className={clsx(
          'relative border-b md:sticky md:top-0 md:h-dvh md:overflow-y-auto md:border-b-0',
          isOperator && 'border-t-4 border-t-operator',
        )}
      >
        <div className="relative md:hidden">
          <div className="p-4">
            <Brand isOperator={isOperator} />
          </div>
          <PhoneMenu>
            <Rail {...rail} />
          </PhoneMenu>
        </div>
        <div className={clsx('absolute top-2 right-12 md:top-2.5', isOperator ? 'md:right-1' : 'md:right-3')}>
          <Bell {...bell} />
        </div>
        <div className="hidden min-h-full flex-col gap-4 p-4 md:flex">
          <Brand isOperator={isOperator} />
          <Rail {...rail} />
        </div>
      </aside>
      <PaletteKey
        places={[
          ...rail.items.map(({ href, label }) => ({ href, label })),
          { href: bell.href, label: 'Notices' },
          ...places,
          ...common,
        ]}
      />
      <div className="min-w-0 md:border-l">
        {banner}
        <KeptFields />
        <main id="main" className="mx-auto max-w-6xl px-4 py-6 sm:px-8 sm:py-8">
          {children}
        </main>
      </div>
    </div>
  );
}

function Brand({ isOperator }: { isOperator: boolean }) {
  return (
    <Link href="/home" className="flex items-center gap-2 text-lg font-semibold tracking-tight">
      <Mark size={22} />
      Flywheel
      {isOperator ? (
        <span className="rounded-sm bg-operator-soft px-1.5 py-0.5 text-xs font-medium tracking-normal text-operator">
          Operator
        </span>
      ) : null}
    </Link>
  );
}

type RailProps = Pick<FrameProps, 'person' | 'theme' | 'signOut' | 'top' | 'items'>;

function Rail({ person, theme, signOut, top, items }: RailProps) {
  return (
    <>
      {top}
      <nav aria-label="Pages" className="grow">
        <ul className="grid gap-0.5">
          {items.map(({ href, label, icon, exact }) => (
            <li key={href}>
              <NavLink href={href} exact={exact ?? false}>
                {icon}
                {label}
              </NavLink>
            </li>
          ))}
        </ul>
      </nav>
      <div className="grid grid-cols-1 gap-0.5 border-t pt-3">
        {person.isOperator ? (
          <NavLink href="/operator">
            <Shield size={16} aria-hidden className="text-operator" />
            Operator
          </NavLink>
        ) : null}
        <NavLink href="/help">
          <BookOpen size={16} aria-hidden />
          Guide
        </NavLink>
        <NavLink href="/account">
          <UserRound size={16} aria-hidden />
          <span className="truncate">{person.name}</span>
        </NavLink>
        <div className="flex items-center justify-between pt-1">
          <ButtonForm action={signOut} look="quiet" small>
            <LogOut size={16} aria-hidden />
            Sign out
          </ButtonForm>
          <ThemeSwitch theme={theme} />
        </div>
      </div>
    </>
  );
}
