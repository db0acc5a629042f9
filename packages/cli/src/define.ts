import { type Command, Option } from "commander";
import { type Client, connect } from "./connection.ts";
import { type ExitCode, exitCode, exitCodeHelp } from "./exit-codes.ts";
import { CommandFailure } from "./failure.ts";
import type { Io } from "./io.ts";
import { type Style, styleFor } from "./output/style.ts";

/** What the shell completes an argument with. */
export type Completion = "stamp" | "tenant" | "pool" | "move" | "campaign" | "rollout" | "shell" | "file";

/** Options of every command. */
export interface CommonOptions {
  readonly output: "table" | "json" | "jsonl";
  readonly server?: string;
  readonly tokenFile?: string;
  readonly state?: string;
  readonly file: string;
  readonly yes?: boolean;
}

/** One run of a command. */
export interface Run<O> {
  readonly io: Io;
  readonly args: readonly string[];
  readonly options: O & CommonOptions;
  readonly style: Style;
  /** Prints the result: JSON for scripts, or what `human` makes of it. */
  emit(result: unknown, human: () => string): void;
  /** Talk, on stderr. Silent for `-o json`, so that a log of both streams stays readable. */
  say(text: string): void;
  /** The control plane that options, environment or state directory name. */
  client(): Promise<Client>;
}

export interface CommandSpec<O> {
  /** As commander reads it, e.g. `show <name>`. */
  readonly usage: string;
  readonly summary: string;
  /** Shown below the summary: what a reader must know before the first use. */
  readonly about?: string;
  /** Command line and what it does. */
  readonly examples: readonly (readonly [string, string])[];
  readonly options?: (command: Command) => Command;
  readonly exits?: readonly ExitCode[];
  readonly completes?: readonly Completion[];
  /** Also prints as it goes, one JSON object per line: `-o jsonl`. */
  readonly streams?: true;
  /** False for commands that never speak to a control plane. @default true */
  readonly connects?: boolean;
  /** Not in help. */
  readonly hidden?: boolean;
  readonly run: (run: Run<O>) => Promise<ExitCode> | Promise<void>;
}

/** A command whose own options are known to itself only, so that different ones fit in one list. */
export type AnyCommand = CommandSpec<never>;

export function command<O>(spec: CommandSpec<O>): AnyCommand {
  return spec as unknown as AnyCommand;
}

const completions = new WeakMap<Command, readonly Completion[]>();

export function completionsOf(command: Command): readonly Completion[] {
  return completions.get(command) ?? [];
}

/** Adds one command; `finish` gets its exit code. */
export function define(parent: Command, any: AnyCommand, io: Io, finish: (code: ExitCode) => void): Command {
  const spec = any as unknown as CommandSpec<unknown>;
  const command = parent.command(spec.usage, { hidden: spec.hidden ?? false }).summary(spec.summary);
  command.description(spec.about === undefined ? `${spec.summary}.` : `${spec.summary}.\n${spec.about}`);
  spec.options?.(command);
  addCommonOptions(command, spec);
  const examples = spec.examples.map(([line, does]) => `  $ stampyard ${line}\n      ${does}`).join("\n");
  const exits = exitCodeHelp(spec.exits ?? [exitCode.ok, exitCode.error, exitCode.interrupted]);
  command.addHelpText("after", `\nExamples:\n${examples}\n\n${exits}`);
  completions.set(command, spec.completes ?? []);
  command.action(async (...given: unknown[]) => {
    const args = given.slice(0, -2).flatMap((arg) => (Array.isArray(arg) ? arg : [arg])) as (string | undefined)[];
    const options = given.at(-2) as CommonOptions;
    const code = await spec.run(
      makeRun(
        io,
        args.filter((arg): arg is string => arg !== undefined),
        options,
      ),
    );
    finish(code ?? exitCode.ok);
  });
  return command;
}

function addCommonOptions(command: Command, spec: Pick<CommandSpec<unknown>, "connects" | "streams">): void {
  const formats = spec.streams === true ? ["table", "json", "jsonl"] : ["table", "json"];
  command.addOption(new Option("-o, --output <format>", "how to print the result").choices(formats).default("table"));
  if (spec.connects === false) return;
  command.optionsGroup("Where the fleet is:");
  command.option("-f, --file <path>", "fleet file, which names the fleet", "fleet.yaml");
  command.option("--state <dir>", "state directory (env STAMPYARD_STATE)");
  command.option("--server <url>", "control plane (env STAMPYARD_API); else read from the state directory");
  command.option("--token-file <path>", "file that holds a token (env STAMPYARD_TOKEN_FILE)");
}

function makeRun(io: Io, args: readonly string[], options: CommonOptions): Run<unknown> {
  const json = options.output !== "table";
  let client: Promise<Client> | undefined;
  return {
    io,
    args,
    options,
    style: styleFor(io.out, io.env),
    emit: (result, human) => io.out.write(json ? `${JSON.stringify(result, undefined, 2)}\n` : human()),
    say: (text) => {
      if (!json) io.err.write(`${text}\n`);
    },
    client: () => {
      client ??= connect(io, options);
      return client;
    },
  };
}

/** For severe actions: a person types the name; a script says --yes. */
export async function confirmName<O>(run: Run<O>, what: string, name: string): Promise<void> {
  if (run.options.yes === true) return;
  if (run.io.ask === undefined) {
    throw new CommandFailure("CONFIRMATION_REQUIRED", `This would ${what}, and nobody is there to confirm it`, {
      mend: "Add --yes if you mean it.",
    });
  }
  const answer = await run.io.ask(`This will ${what}. Type ${name} to go on: `);
  if (answer.trim() === name) return;
  throw new CommandFailure("CANCELLED", `Not confirmed: nothing was changed`);
}

export function yesOption(command: Command): Command {
  return command.option("-y, --yes", "do not ask");
}

/** Reads a number option with its range. */
export function numberIn(name: string, min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && Number.isFinite(value) && value >= min && value <= max) return value;
    throw new CommandFailure("INVALID_REQUEST", `--${name} is ${JSON.stringify(text)}`, {
      mend: `Give a number from ${min} to ${max}.`,
    });
  };
}
