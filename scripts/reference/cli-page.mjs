import { buildProgram } from "stampyard";
import { anchor, cell, code, opening, table } from "./markdown.mjs";

/** Commands, options, examples and exit codes, read from the command tree itself. */
export function cliPage() {
  const { program, help } = readProgram();
  const commands = leaves(program);
  const about =
    "Every command of `stampyard`. In a checkout: `npm run --silent stampyard -- COMMAND`, after `npm run build`.\n" +
    "Results go to stdout, talk goes to stderr, and `-o json` prints results for scripts.";
  const index = commands.map((command) => [
    `[${code(pathOf(command))}](#${anchor(pathOf(command))})`,
    cell(command.summary()),
  ]);
  const exits = section(help(program), "Exit codes:");
  const parts = [
    opening("Commands", about),
    table(["command", "does"], index),
    `## Exit codes\n\n${table(["code", "means"], exitRows(exits))}`,
    commonOptions(commands),
    ...commands.map((command) => commandPart(command, help(command))),
  ];
  return `${parts.map((part) => part.trimEnd()).join("\n\n")}\n`;
}

function readProgram() {
  let written = "";
  const out = { write: (text) => (written += text), isTTY: false, columns: 110 };
  const io = {
    out,
    err: out,
    env: {},
    cwd: "/",
    fetch: () => Promise.reject(new TypeError("no network here")),
    signal: new AbortController().signal,
    ask: undefined,
    handOver: () => undefined,
  };
  const program = buildProgram(io, () => undefined);
  const help = (command) => {
    written = "";
    command.outputHelp();
    return written;
  };
  return { program, help };
}

/** Commands that do something: also a group with options of its own. */
function leaves(command) {
  const children = command.createHelp().visibleCommands(command);
  return children.flatMap((child) => {
    const does = child.commands.length === 0 || child.options.length > 0;
    return [...(does ? [child] : []), ...leaves(child)];
  });
}

function pathOf(command) {
  const names = [];
  for (let at = command; at != null; at = at.parent) names.unshift(at.name());
  return names.join(" ");
}

/** The lines below a heading of the help text, up to the next empty line. */
function section(text, heading) {
  const lines = text.split("\n");
  const start = lines.indexOf(heading);
  if (start === -1) return [];
  const end = lines.indexOf("", start);
  return lines.slice(start + 1, end === -1 ? undefined : end);
}

function exitRows(lines) {
  return lines.map((line) => {
    const [, number = "", means = ""] = /^\s+(\d+)\s+(.*)$/.exec(line) ?? [];
    return [code(number), cell(means)];
  });
}

const serverOptions = ["--file", "--state", "--server", "--token-file"];
const everywhere = ["--output", "--help"];

function optionRow(option) {
  const preset = option.defaultValue === undefined ? "" : code(option.defaultValue);
  const choices = option.argChoices === undefined ? "" : `: ${option.argChoices.map(code).join(", ")}`;
  const needed = option.mandatory ? " (required)" : "";
  return [code(option.flags), `${cell(option.description)}${choices}${needed}`, preset];
}

const optionHead = ["option", "meaning", "default"];

function commonOptions(commands) {
  const known = new Map();
  for (const command of commands) for (const option of command.options) known.set(option.long, option);
  const rows = (names) => names.flatMap((name) => (known.has(name) ? [optionRow(known.get(name))] : []));
  return (
    `## Options of every command\n\n${table(optionHead, rows(everywhere))}\n` +
    `Commands that speak to a control plane find it, in this order: \`--server\`, \`STAMPYARD_API\`, then the state\n` +
    `directory (\`--state\`, \`STAMPYARD_STATE\`, or the one that belongs to the name in the fleet file).\n\n` +
    table(optionHead, rows(serverOptions))
  );
}

function commandPart(command, text) {
  const own = command
    .createHelp()
    .visibleOptions(command)
    .filter((option) => ![...serverOptions, ...everywhere].includes(option.long));
  const connects = command.options.some((option) => option.long === "--server");
  const [, ...about] = command.description().split("\n");
  const parts = [
    `## ${pathOf(command)}`,
    [command.description().split("\n")[0], ...about].join(" ").trim(),
    `\`\`\`\n${pathOf(command)} ${command.usage()}\n\`\`\``,
  ];
  if (own.length > 0) parts.push(table(optionHead, own.map(optionRow)));
  if (!connects) parts.push("Works without a control plane.");
  const examples = section(text, "Examples:");
  if (examples.length > 0) parts.push(`\`\`\`\n${examples.map(exampleLine).join("\n")}\n\`\`\``);
  const codes = exitRows(section(text, "Exit codes:")).map(([number]) => number);
  parts.push(`Exit codes: ${codes.join(", ")}.`);
  return parts.map((part) => part.trimEnd()).join("\n\n");
}

/** `  $ line` and `      what it does` become a command and its comment. */
function exampleLine(line) {
  return line.startsWith("  $ ") ? `$ ${line.slice(4)}` : `  # ${line.trim()}`;
}
