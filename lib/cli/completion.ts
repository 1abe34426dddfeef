import { command, type Command } from './command.ts';
import { exitCodes } from './terminal.ts';

/* Scripts by which a shell completes what is typed, made of the table of commands. */

type Known = Omit<Command, 'run'>;
const shells = ['bash', 'zsh', 'fish'] as const;

/** `-o` and `--output`. */
function flags(options: Known['options']): string[] {
  return Object.entries(options).flatMap(([name, { short }]) => [`--${name}`, ...(short ? [`-${short}`] : [])]);
}

/** Options whose value is one of a few, and those that are files. */
type Few = { flags: string[]; values: readonly string[] | 'files' };

function valuesOf({ options }: Known): Few[] {
  return Object.entries(options).flatMap(([name, { short, value }]): Few[] => {
    const own = [`--${name}`, ...(short ? [`-${short}`] : [])];
    if (typeof value === 'object') return [{ flags: own, values: value }];
    return value?.includes('FILE') ? [{ flags: own, values: 'files' }] : [];
  });
}

const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** zsh runs it too, by its own emulation of bash's completion. */
function bash(commands: readonly Known[]): string {
  const cases = commands.map((each) => {
    const values = valuesOf(each).map(({ flags: own, values: few }) => {
      const reply = few === 'files' ? 'compgen -f -- "$word"' : `compgen -W ${quoted(few.join(' '))} -- "$word"`;
      return `        ${own.join('|')}) COMPREPLY=($(${reply})); return ;;\n`;
    });
    const inner = values.length === 0 ? '' : `      case "$before" in\n${values.join('')}      esac\n`;
    const words = [...(each.choices ?? []), ...flags(each.options)].join(' ');
    return `    ${each.name})\n${inner}      words=${quoted(words)} ;;\n`;
  });
  return `# flywheel completion bash >> ~/.bashrc
_flywheel() {
  local word="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" words
  if [ "$COMP_CWORD" -eq 1 ]; then
    words=${quoted([...commands.map(({ name }) => name), '--help'].join(' '))}
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    return
  fi
  case "\${COMP_WORDS[1]}" in
${cases.join('')}  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -F _flywheel flywheel
`;
}

function zsh(commands: readonly Known[]): string {
  return `# flywheel completion zsh >> ~/.zshrc
autoload -U +X bashcompinit && bashcompinit
${bash(commands).split('\n').slice(1).join('\n')}`;
}

function fish(commands: readonly Known[]): string {
  const lines = commands.flatMap(({ name, says, choices, options }) => {
    const within = `__fish_seen_subcommand_from ${name}`;
    return [
      `complete -c flywheel -n __fish_use_subcommand -a ${name} -d ${quoted(says)}`,
      ...(choices ? [`complete -c flywheel -n ${quoted(within)} -a ${quoted(choices.join(' '))}`] : []),
      ...Object.entries(options).map(([option, { short, type, value, says: words }]) => {
        const takes = type === 'boolean' ? '' : ' -r';
        const files = typeof value === 'string' && value.includes('FILE') ? ' -F' : '';
        const few = typeof value === 'object' ? ` -a ${quoted(value.join(' '))}` : '';
        return `complete -c flywheel -n ${quoted(within)} -l ${option}${short ? ` -s ${short}` : ''}${takes}${files}${few} -d ${quoted(words)}`;
      }),
    ];
  });
  return `# flywheel completion fish > ~/.config/fish/completions/flywheel.fish
complete -c flywheel -f
${lines.join('\n')}
`;
}

export function completionScript(shell: string, commands: readonly Known[]): string {
  return { bash, zsh, fish }[shell as (typeof shells)[number]](commands);
}

/** Of all commands, this one among them. */
export function completionOf(commands: () => readonly Known[]): Command {
  return command(
    {
      name: 'completion',
      args: ['SHELL'],
      choices: shells,
      says: 'prints a script by which a shell completes commands and options',
      options: {},
    },
    async ({ terminal, args: [shell = ''] }) => {
      terminal.out(completionScript(shell, commands()));
      return exitCodes.done;
    },
  );
}
