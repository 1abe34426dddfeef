import { ChoiceCard } from '#components/ui/field.tsx';
import { Callout } from '#components/ui/status.tsx';

export type SharingChoiceProps = {
  name: string;
  chosen: string;
  choices: readonly { value: string; title: string; words: string }[];
  /** What nobody has any more who shares. */
  givenUp: readonly string[];
  /** What sharing comes to at each forge. */
  atForge: readonly string[];
};

/** Two cards, and what the second gives up before it is chosen. */
export function SharingChoice({ name, chosen, choices, givenUp, atForge }: SharingChoiceProps) {
  return (
    <fieldset className="grid gap-3">
      <legend className="mb-1 font-medium">Shared or dedicated pools</legend>
      <div className="grid gap-3 sm:grid-cols-2">
        {choices.map(({ value, title, words }) => (
          <ChoiceCard
            key={value}
            type="radio"
            name={name}
            value={value}
            title={title}
            defaultChecked={value === chosen}
          >
            {words}
          </ChoiceCard>
        ))}
      </div>
      <Callout tone="note" title="What sharing gives up, and what it is at each forge">
        <ul className="list-disc space-y-1 pl-5">
          {givenUp.map((words) => (
            <li key={words}>{words}</li>
          ))}
        </ul>
        <ul className="mt-3 list-disc space-y-1 pl-5">
          {atForge.map((words) => (
            <li key={words}>{words}</li>
          ))}
        </ul>
      </Callout>
    </fieldset>
  );
}
