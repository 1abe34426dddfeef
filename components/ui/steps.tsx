import clsx from 'clsx';
import Link from 'next/link';
import { Check } from 'lucide-react';

export type Step = { label: string; href?: string | undefined };

/** Where one is, what is behind and can be gone back to, and what is to come. `at` counts from 0. */
export function Steps({ steps, at }: { steps: Step[]; at: number }) {
  return (
    <nav aria-label="Steps" className="mb-6">
      <p className="mb-2 text-sm text-ink-3 sm:hidden">
        Step {at + 1} of {steps.length}: {steps[at]?.label}
      </p>
      <ol className="flex gap-2">
        {steps.map((step, index) => (
          <li key={step.label} className="min-w-0 grow basis-0" aria-current={index === at ? 'step' : undefined}>
            <StepMark step={step} state={index < at ? 'done' : index === at ? 'here' : 'ahead'} number={index + 1} />
          </li>
        ))}
      </ol>
    </nav>
  );
}

function StepMark({ step, state, number }: { step: Step; state: 'done' | 'here' | 'ahead'; number: number }) {
  const bar = clsx('block h-1 rounded-sm', state === 'ahead' ? 'bg-line' : 'bg-accent');
  const text = clsx(
    'mt-2 hidden items-center gap-1 text-sm sm:flex',
    state === 'here' ? 'font-medium text-ink' : 'text-ink-3',
  );
  const words = (
    <>
      <span className={bar} />
      <span className={text}>
        {state === 'done' ? <Check size={14} aria-label="Done" /> : <span className="tabular">{number}.</span>}
        {step.label}
      </span>
    </>
  );
  return step.href && state === 'done' ? (
    <Link href={step.href} className="block hover:underline" aria-label={`Back to ${step.label}`}>
      {words}
    </Link>
  ) : (
    words
  );
}
