import clsx from 'clsx';
import { CircleAlert } from 'lucide-react';
import { useId, type ComponentProps, type ReactNode } from 'react';

const control =
  'min-h-9 w-full rounded-md border border-line-strong bg-surface px-3 text-ink aria-invalid:border-bad disabled:bg-sunken disabled:text-ink-3';

type FieldProps = {
  name: string;
  /** What the label is for. The fields below make one of their own, since a page may have several of one name. */
  id?: string | undefined;
  label: ReactNode;
  help?: ReactNode | undefined;
  error?: string | undefined;
};

/** What ties a control to its label, its help and its error. */
export function fieldIds({ name, id = name, help, error }: Omit<FieldProps, 'label'>) {
  const described = [help ? `${id}-help` : null, error ? `${id}-error` : null].filter(Boolean).join(' ');
  return {
    id,
    name,
    'aria-invalid': error ? true : undefined,
    'aria-describedby': described === '' ? undefined : described,
  };
}

/** A label above, help below, the error in its place. */
export function Field({ name, id = name, label, help, error, children }: FieldProps & { children: ReactNode }) {
  return (
    <div className="grid gap-1">
      <label htmlFor={id} className="font-medium">
        {label}
      </label>
      {children}
      {error ? <FieldError name={id} message={error} /> : null}
      {help ? (
        <p id={`${id}-help`} className="text-sm text-ink-3">
          {help}
        </p>
      ) : null}
    </div>
  );
}

export function FieldError({ name, message }: { name: string; message: string }) {
  return (
    <p id={`${name}-error`} className="flex items-start gap-1 text-sm text-bad">
      <CircleAlert size={14} className="mt-0.5 shrink-0" aria-hidden />
      <span className="first-letter:uppercase">{message}</span>
    </p>
  );
}

type TextProps = FieldProps & Omit<ComponentProps<'input'>, keyof FieldProps>;

export function TextField({ name, id, label, help, error, className, ...rest }: TextProps) {
  const ownId = useId();
  const own = { name, id: id ?? ownId, label, help, error };
  return (
    <Field {...own}>
      <input
        type="text"
        autoComplete="off"
        spellCheck={false}
        {...fieldIds(own)}
        className={clsx(control, className)}
        {...rest}
      />
    </Field>
  );
}

type NumberProps = TextProps & { unit: string };

/** The unit stands in the field, so that nobody has to remember it. */
export function NumberField({ name, id, label, help, error, unit, className, ...rest }: NumberProps) {
  const ownId = useId();
  const own = { name, id: id ?? ownId, label, help, error };
  return (
    <Field {...own}>
      <span className={clsx('relative block', className)}>
        <input
          type="number"
          inputMode="numeric"
          {...fieldIds(own)}
          className={clsx(control, 'tabular pr-18 text-right')}
          {...rest}
        />
        <span
          aria-hidden
          className="pointer-events-none absolute inset-y-0 right-3 flex items-center text-sm text-ink-3"
        >
          {unit}
        </span>
      </span>
    </Field>
  );
}

type SelectProps = FieldProps & Omit<ComponentProps<'select'>, keyof FieldProps>;

export function SelectField({ name, id, label, help, error, className, ...rest }: SelectProps) {
  const ownId = useId();
  const own = { name, id: id ?? ownId, label, help, error };
  return (
    <Field {...own}>
      <select {...fieldIds(own)} className={clsx(control, className)} {...rest} />
    </Field>
  );
}

type AreaProps = FieldProps & Omit<ComponentProps<'textarea'>, keyof FieldProps>;

export function TextAreaField({ name, id, label, help, error, className, ...rest }: AreaProps) {
  const ownId = useId();
  const own = { name, id: id ?? ownId, label, help, error };
  return (
    <Field {...own}>
      <textarea rows={3} {...fieldIds(own)} className={clsx(control, 'py-2', className)} {...rest} />
    </Field>
  );
}

type ChoiceProps = Omit<ComponentProps<'input'>, 'type' | 'title'> & {
  type: 'radio' | 'checkbox';
  title: ReactNode;
  children?: ReactNode;
};

/** A choice whose whole card can be pressed. */
export function ChoiceCard({ type, title, children, className, ...rest }: ChoiceProps) {
  return (
    <label
      className={clsx(
        'flex gap-3 rounded-lg border bg-surface p-4 has-checked:border-accent has-checked:bg-accent-soft has-disabled:cursor-not-allowed has-disabled:bg-sunken',
        className,
      )}
    >
      <input type={type} className="mt-1 size-4 shrink-0 accent-accent" {...rest} />
      <span className="grid min-w-0 content-start gap-1">
        <span className="font-medium">{title}</span>
        {children ? <span className="text-sm text-ink-2">{children}</span> : null}
      </span>
    </label>
  );
}

export const inputClass = control;
