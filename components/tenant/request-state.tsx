import { Badge, type Tone } from '#components/ui/status.tsx';

type State = 'open' | 'asked_back' | 'approved' | 'rejected' | 'withdrawn';

const shown: Record<State, { tone: Tone; word: string }> = {
  open: { tone: 'wait', word: 'Waits for an operator' },
  asked_back: { tone: 'warn', word: 'Waits for an answer' },
  approved: { tone: 'good', word: 'Granted' },
  rejected: { tone: 'bad', word: 'Refused' },
  withdrawn: { tone: 'idle', word: 'Taken back' },
};

export function RequestState({ state }: { state: State }) {
  return <Badge tone={shown[state].tone}>{shown[state].word}</Badge>;
}
