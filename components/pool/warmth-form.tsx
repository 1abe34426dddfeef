'use client';

import { useId, useState } from 'react';
import { Plus, Trash2 } from 'lucide-react';
import type { WeekPreview } from '#lib/enrollment/index.ts';
import type { WarmSchedule, WarmWindow } from '#lib/model/index.ts';
import { useActionForm, type ActionForm, type FormAction } from '#components/form/use-action-form.ts';
import { Button } from '#components/ui/button.tsx';
import { ChoiceCard, Field, FieldError, fieldIds, inputClass, NumberField, TextField } from '#components/ui/field.tsx';
import { ErrorCallout } from '#components/ui/states.tsx';
import { SubmitButton } from '#components/ui/submit-button.tsx';
import { Stat, Stats } from '#components/ui/layout.tsx';
import { WeekChart } from './week-chart.tsx';

type Props = {
  action: FormAction<WeekPreview>;
  fields: { enrollmentId: string; pool: string };
  minRunners: number;
  minLabel: string;
  /** What is kept warm, as many are called. */
  unit: string;
  schedule: WarmSchedule | null;
  /** The names that there are, for whoever begins to type one. */
  zones: readonly string[];
  first: WeekPreview;
  canEdit: boolean;
};

type Form = ActionForm<WeekPreview>;
type Row = { number: number; window: WarmWindow };

const office: WarmWindow = { days: ['mon', 'tue', 'wed', 'thu', 'fri'], from: '08:00', to: '18:00', runners: 1 };

const days: [WarmWindow['days'][number], string, string][] = [
  ['mon', 'Mo', 'Monday'],
  ['tue', 'Tu', 'Tuesday'],
  ['wed', 'We', 'Wednesday'],
  ['thu', 'Th', 'Thursday'],
  ['fri', 'Fr', 'Friday'],
  ['sat', 'Sa', 'Saturday'],
  ['sun', 'Su', 'Sunday'],
];

/** What a pool keeps warm and when, with a week of it and what that costs before anything is planned. */
export function WarmthForm({ action, fields, minRunners, minLabel, unit, schedule, zones, first, canEdit }: Props) {
  const form = useActionForm(action);
  const [scheduled, setScheduled] = useState(schedule !== null);
  const week = form.value ?? first;
  return (
    <div className="grid gap-6">
      <section aria-label="Preview of a week" className="grid gap-4 rounded-lg border bg-surface p-4">
        <Costs week={week} />
        <WeekChart week={week} />
      </section>
      {canEdit ? (
        <form {...form.form} className="grid gap-4">
          {Object.entries(fields).map(([name, value]) => (
            <input key={name} type="hidden" name={name} value={value} />
          ))}
          {form.error ? <ErrorCallout error={form.error} /> : null}
          {form.errorAt(`pools.${fields.pool}.maxRunners`) ? (
            <FieldError name="maxRunners" message={`The maximum ${form.errorAt(`pools.${fields.pool}.maxRunners`)}`} />
          ) : null}
          {form.errorAt(`pools.${fields.pool}.schedule`) ? (
            <FieldError name="schedule" message={`The schedule ${form.errorAt(`pools.${fields.pool}.schedule`)}`} />
          ) : null}
          <NumberField
            name="minRunners"
            label={minLabel}
            unit={unit}
            min={0}
            max={1000}
            step={1}
            defaultValue={form.valueOf('minRunners', String(minRunners))}
            error={form.errorAt('minRunners') ?? form.errorAt(`pools.${fields.pool}.minRunners`)}
            className="max-w-xs"
          />
          <ChoiceCard
            type="checkbox"
            name="scheduled"
            value="yes"
            title="More of them by a schedule"
            checked={scheduled}
            onChange={(event) => setScheduled(event.target.checked)}
          >
            Windows of the week in which more are kept warm, by the clocks of one time zone.
          </ChoiceCard>
          {scheduled ? <Windows form={form} schedule={schedule} zones={zones} unit={unit} /> : null}
          <TextField
            type="date"
            name="week"
            label="Preview the week of"
            help="Empty is this week. A week in which clocks are put has an hour more or less."
            error={form.errorAt('week')}
            defaultValue={form.valueOf('week', '')}
            className="max-w-xs"
          />
          <div className="flex flex-wrap gap-2">
            <SubmitButton pending={form.pending} look="secondary" name="intent" value="preview">
              Preview
            </SubmitButton>
            <SubmitButton pending={form.pending} name="intent" value="plan">
              Plan this
            </SubmitButton>
          </div>
        </form>
      ) : null}
    </div>
  );
}

function Costs({ week }: { week: WeekPreview }) {
  const { cost, monthCost, runnerHours, currency, most, maxRunners } = week;
  const money = (amount: string | null) =>
    amount === null ? 'No rate' : Number(amount).toLocaleString('en', { style: 'currency', currency });
  return (
    <div className="-mb-8">
      <Stats>
        <Stat label="Warm at once" value={most} note={`of at most ${maxRunners}`} />
        <Stat label="Kept warm, a week" value={`${Number(runnerHours).toLocaleString('en')} h`} note="runner-hours" />
        <Stat label="Cost, this week" value={money(cost)} note="at the present rate" />
        <Stat label="Cost, a month of these" value={money(monthCost)} note="jobs of warm runners within it" />
      </Stats>
    </div>
  );
}

type WindowsProps = { form: Form; schedule: WarmSchedule | null; zones: readonly string[]; unit: string };

function Windows({ form, schedule, zones, unit }: WindowsProps) {
  const listId = useId();
  const [rows, setRows] = useState<Row[]>(() =>
    (schedule?.windows ?? [office]).map((window, number) => ({ number, window })),
  );
  const add = () =>
    setRows((all) => [...all, { number: Math.max(-1, ...all.map(({ number }) => number)) + 1, window: office }]);
  const none = form.errorAt('windows');
  return (
    <div className="grid gap-4">
      <div className="max-w-xs">
        <TextField
          name="timeZone"
          label="Time zone"
          help="Its clocks decide, through summer and winter."
          error={form.errorAt('timeZone')}
          defaultValue={form.valueOf('timeZone', schedule?.timeZone ?? 'UTC')}
          list={listId}
        />
        <datalist id={listId}>
          {zones.map((zone) => (
            <option key={zone} value={zone}>
              {zone}
            </option>
          ))}
        </datalist>
      </div>
      <ol className="grid gap-3" aria-label="Windows">
        {rows.map(({ number, window }, index) => (
          <WindowRow
            key={number}
            form={form}
            number={number}
            place={index + 1}
            window={window}
            unit={unit}
            remove={() => setRows((all) => all.filter((row) => row.number !== number))}
          />
        ))}
      </ol>
      {none ? <FieldError name="windows" message={none} /> : null}
      <div>
        <Button type="button" look="secondary" small onClick={add}>
          <Plus size={14} aria-hidden />
          Add a window
        </Button>
      </div>
      <Holidays form={form} holidays={schedule?.holidays ?? []} />
    </div>
  );
}

type WindowProps = { form: Form; number: number; place: number; window: WarmWindow; unit: string; remove: () => void };

function WindowRow({ form, number, place, window, unit, remove }: WindowProps) {
  const field = (name: string) => `windows.${number}.${name}`;
  const noDays = form.errorAt(field('days'));
  return (
    <li className="grid gap-3 rounded-lg border bg-surface p-4">
      <fieldset className="grid gap-1" aria-describedby={noDays ? `${field('days')}-error` : undefined}>
        <legend className="mb-1 font-medium">Window {place}: begins on</legend>
        <div className="flex flex-wrap gap-x-4 gap-y-2">
          {days.map(([day, short, name]) => (
            <label key={day} className="flex items-center gap-1.5">
              <input
                type="checkbox"
                name={`${field('days')}[]`}
                value={day}
                defaultChecked={window.days.includes(day)}
                aria-label={name}
                className="size-4 accent-accent"
              />
              <span aria-hidden>{short}</span>
            </label>
          ))}
        </div>
        {noDays ? <FieldError name={field('days')} message={noDays} /> : null}
      </fieldset>
      <div className="grid items-start gap-3 sm:grid-cols-[8rem_8rem_10rem_auto]">
        <TextField
          name={field('from')}
          label="From"
          placeholder="08:00"
          error={form.errorAt(field('from'))}
          defaultValue={window.from}
          maxLength={5}
        />
        <TextField
          name={field('to')}
          label="To"
          placeholder="18:00"
          error={form.errorAt(field('to'))}
          defaultValue={window.to}
          maxLength={5}
        />
        <NumberField
          name={field('runners')}
          label="Kept warm"
          unit={unit}
          min={1}
          max={1000}
          step={1}
          error={form.errorAt(field('runners'))}
          defaultValue={String(window.runners)}
        />
        <div className="sm:mt-7">
          <Button type="button" look="quiet" small onClick={remove} aria-label={`Remove window ${place}`}>
            <Trash2 size={14} aria-hidden />
            Remove
          </Button>
        </div>
      </div>
    </li>
  );
}

function Holidays({ form, holidays }: { form: Form; holidays: readonly string[] }) {
  const own = {
    name: 'holidays',
    id: useId(),
    label: 'Holidays (optional)',
    help: 'Days on which no window begins, such as 2026-12-25, one a line.',
    error: form.errorAt('holidays'),
  };
  return (
    <Field {...own}>
      <textarea
        rows={3}
        {...fieldIds(own)}
        className={`${inputClass} max-w-xs py-2`}
        defaultValue={form.valueOf('holidays', holidays.join('\n'))}
      />
    </Field>
  );
}
