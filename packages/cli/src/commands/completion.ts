import { command } from "../define.ts";
import { CommandFailure } from "../failure.ts";

const bash = `# stampyard completion for bash: source <(stampyard completion bash)
_stampyard() {
  local IFS=$'\\n'
  COMPREPLY=($(stampyard __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _stampyard stampyard
`;

const zsh = `#compdef stampyard
# stampyard completion for zsh: source <(stampyard completion zsh)
_stampyard() {
  local -a found
  found=("\${(@f)$(stampyard __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n "$found[1]" ]]; then compadd -a found; else _files; fi
}
compdef _stampyard stampyard
`;

const fish = `# stampyard completion for fish: stampyard completion fish | source
function __stampyard_complete
  set -l words (commandline -opc) (commandline -ct)
  stampyard __complete -- $words[2..-1] 2>/dev/null
end
complete -c stampyard -a '(__stampyard_complete)'
`;

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish };

export const completion = command({
  usage: "completion <shell>",
  summary: "Print the completion script of a shell: bash, zsh or fish",
  connects: false,
  completes: ["shell"],
  examples: [
    ["completion bash > /etc/bash_completion.d/stampyard", "for everybody on this machine"],
    ["completion fish | source", "for this session"],
  ],
  run: async (run) => {
    const shell = run.args[0] ?? "";
    const script = Object.hasOwn(scripts, shell) ? scripts[shell] : undefined;
    if (script === undefined) {
      throw new CommandFailure("INVALID_REQUEST", `There is no completion for ${JSON.stringify(shell)}`, {
        mend: "Use bash, zsh or fish.",
      });
    }
    run.emit({ shell, script }, () => script);
  },
});
