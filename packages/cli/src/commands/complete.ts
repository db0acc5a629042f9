import type { Command } from "commander";
import { connect } from "../connection.ts";
import { type AnyCommand, type Completion, command, completionsOf } from "../define.ts";
import type { Io } from "../io.ts";

/** Typing must not wait longer than this for a control plane. */
const patienceMs = 1_500;

/** What the completion scripts call: the words so far, the last one unfinished. Errors complete nothing. */
export function completeCommand(program: Command): AnyCommand {
  return command({
    usage: "__complete [words...]",
    hidden: true,
    summary: "words that may come next, for completion scripts",
    examples: [["__complete -- stamp show sh", "what may follow"]],
    run: async (run) => {
      const words = [...run.args];
      const typed = words.pop() ?? "";
      const found = await candidates(program, words, typed, run.io).catch(() => []);
      run.io.out.write(
        found
          .filter((word) => word.startsWith(typed))
          .map((word) => `${word}\n`)
          .join(""),
      );
    },
  });
}

async function candidates(
  program: Command,
  words: readonly string[],
  typed: string,
  io: Io,
): Promise<readonly string[]> {
  const { at, given } = walk(program, words);
  if (typed.startsWith("-"))
    return at
      .createHelp()
      .visibleOptions(at)
      .flatMap((option) => option.long ?? []);
  if (at.commands.length > 0) {
    return at
      .createHelp()
      .visibleCommands(at)
      .map((child) => child.name())
      .filter((name) => !name.startsWith("__"));
  }
  const kind = completionsOf(at)[given];
  return kind === undefined ? [] : await names(kind, optionValues(words), io);
}

/** The command that the words lead to, and how many of its arguments are given already. */
function walk(program: Command, words: readonly string[]): { at: Command; given: number } {
  let at = program;
  let given = 0;
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word.startsWith("-")) {
      const option = at.options.find((known) => known.long === word || known.short === word);
      if (option !== undefined && (option.required || option.optional)) index++;
      continue;
    }
    const child = at.commands.find((candidate) => candidate.name() === word);
    if (child === undefined) given++;
    else at = child;
  }
  return { at, given };
}

/** Options that say where the fleet is count while completing, too. */
function optionValues(words: readonly string[]): { server?: string; tokenFile?: string; state?: string; file: string } {
  const after = (...flags: string[]) => words[words.findIndex((word) => flags.includes(word)) + 1];
  const has = (...flags: string[]) => words.some((word) => flags.includes(word));
  return {
    file: (has("-f", "--file") ? after("-f", "--file") : undefined) ?? "fleet.yaml",
    ...(has("--server") ? { server: after("--server") ?? "" } : {}),
    ...(has("--token-file") ? { tokenFile: after("--token-file") ?? "" } : {}),
    ...(has("--state") ? { state: after("--state") ?? "" } : {}),
  };
}

async function names(kind: Completion, options: ReturnType<typeof optionValues>, io: Io): Promise<readonly string[]> {
  if (kind === "shell") return ["bash", "fish", "zsh"];
  if (kind === "file") return [];
  const client = await connect(io, options);
  const signal = AbortSignal.any([io.signal, AbortSignal.timeout(patienceMs)]);
  if (kind === "stamp")
    return (await client.stampList({ query: { limit: 500 }, signal })).items.map((item) => item.name);
  if (kind === "pool") return (await client.poolList({ query: { limit: 500 }, signal })).items.map((item) => item.name);
  if (kind === "move")
    return (await client.moveList({ query: { limit: 500, open: true }, signal })).items.map((item) => item.id);
  if (kind === "rollout")
    return (await client.rolloutList({ query: { limit: 500, open: true }, signal })).items.map((item) => item.id);
  if (kind === "campaign")
    return (await client.campaignList({ query: { limit: 500, open: true }, signal })).items.map((item) => item.id);
  return (await client.tenantList({ query: { limit: 500 }, signal })).items.map((item) => item.key);
}
