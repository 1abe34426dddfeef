import { RelativeTime } from '#components/ui/relative-time.tsx';

type Step = 'asked' | 'question' | 'answer' | 'approved' | 'rejected' | 'withdrawn';
type Message = { at: string; actor: string; step: Step; text: string };

const words: Record<Step, string> = {
  asked: 'asked',
  question: 'asked back',
  answer: 'answered',
  approved: 'granted it',
  rejected: 'refused it',
  withdrawn: 'closed it',
};

/** What was said, in the order in which it was. */
export function RequestSteps({ messages }: { messages: Message[] }) {
  return (
    <ol className="grid gap-4 border-l pl-4">
      {messages.map(({ at, actor, step, text }) => (
        <li key={`${at}/${step}`} className="min-w-0">
          <p className="text-sm text-ink-3">
            <span className="font-medium text-ink">{actor}</span> {words[step]} <RelativeTime at={at} />
          </p>
          {text === '' ? null : <p className="mt-1 max-w-prose whitespace-pre-wrap break-words">{text}</p>}
        </li>
      ))}
    </ol>
  );
}
