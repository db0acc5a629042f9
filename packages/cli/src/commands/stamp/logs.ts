import { command, numberIn } from "../../define.ts";
import { printable } from "../../output/style.ts";

export const stampLogs = command<{ tail: number; follow?: boolean; component?: string }>({
  usage: "logs <stamp> [component]",
  summary: "Print the logs of a stamp's components",
  completes: ["stamp"],
  options: (c) =>
    c
      .option("--component <name>", "the same as the second argument")
      .option("-n, --tail <lines>", "last lines of each component", numberIn("tail", 0, 10_000), 100)
      .option("--follow", "go on as lines come, until Ctrl-C"),
  examples: [
    ["stamp logs shared-1", "the last 100 lines of each component"],
    ["stamp logs shared-1 api --follow", "one component, live"],
    ["stamp logs shared-1 -o json", "one JSON object per line"],
  ],
  run: async (run) => {
    const [name = "", given] = run.args;
    const component = run.options.component ?? given;
    const client = await run.client();
    const lines = await client.stampLogs({
      params: { name },
      query: {
        tail: run.options.tail,
        follow: run.options.follow === true,
        ...(component === undefined ? {} : { component }),
      },
      signal: run.io.signal,
    });
    const json = run.options.output === "json";
    for await (const line of lines) run.io.out.write(`${json ? JSON.stringify(parseLine(line)) : printable(line)}\n`);
  },
});

/** `component[.replica] | text`. */
export function parseLine(line: string): { component: string; replica: number; text: string } {
  const found = /^([a-z0-9-]+)(?:\.(\d+))? \| ?(.*)$/s.exec(line);
  if (found === null) return { component: "", replica: 0, text: line };
  return { component: found[1] ?? "", replica: Number(found[2] ?? 0), text: found[3] ?? "" };
}
