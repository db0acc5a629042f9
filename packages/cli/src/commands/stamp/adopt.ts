import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { StampView } from "@stampyard/api";
import { type Run, command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";

interface Options {
  readonly region: string;
  readonly endpoint: readonly string[];
  readonly pool?: string;
  readonly capacity?: string;
  readonly health?: string;
  readonly databaseUrlFile?: string;
  readonly routeKeyFile?: string;
  readonly restoreTested?: boolean;
  readonly open?: boolean;
  readonly reason?: string;
}

/** For where no file is at hand; never an argument, which every user of the machine could read. */
const databaseUrlEnv = "STAMPYARD_ADOPT_DATABASE_URL";

export const stampAdopt = command<Options>({
  usage: "adopt <stamp>",
  summary: "Register what already runs as a stamp, touching nothing of it",
  about: `The stamp zero of a company that starts. It may hold more tenants than its capacity says, and placement leaves it alone
until \`stamp uncordon\` (or --open). Repeat the command to change what was said. Destroying it only forgets it.
The database URL, from --database-url-file or the environment (${databaseUrlEnv}), is sealed and never shown.`,
  options: (c) =>
    c
      .requiredOption("--region <name>", "where it runs")
      .requiredOption("--endpoint <url...>", "where its application answers, such as http://10.0.0.7:8080")
      .option("--pool <name>", "its pool (default: the only one)")
      .option("--capacity <units>", "what it may hold: tenants=400,rps=900 (default: as a stamp of its pool)")
      .option("--health <path>", "path to ask for its health (default: an open port is enough)")
      .option("--database-url-file <path>", "file that holds the URL of its database")
      .option("--route-key-file <path>", "file that holds kid:secret, with which its application checks route headers")
      .option("--restore-tested", "a restore of its data was rehearsed")
      .option("--open", "let placement choose it for new tenants, from its adoption on")
      .option("--reason <text>", "why, for the audit"),
  examples: [
    ["stamp adopt zero --region eu --endpoint http://10.0.0.7:8080", "what runs there is stamp zero now"],
    [
      "stamp adopt zero --region eu --endpoint http://a:80 --endpoint http://b:80 --capacity tenants=400 --health /up",
      "two addresses, a limit and a health path",
    ],
  ],
  run: async (run) => {
    const { region, endpoint, pool, capacity, health, restoreTested, open, reason } = run.options;
    const name = run.args[0] ?? "";
    const url = readSecret(run, run.options.databaseUrlFile) ?? run.io.env[databaseUrlEnv];
    const routeKey = readSecret(run, run.options.routeKeyFile);
    const client = await run.client();
    const stamp = await client.stampAdopt({
      params: { name },
      body: {
        region,
        endpoints: [...endpoint],
        ...(pool === undefined ? {} : { pool }),
        ...(capacity === undefined ? {} : { capacity: readUnits(capacity) }),
        ...(health === undefined ? {} : { healthPath: health }),
        ...(url === undefined || url === "" ? {} : { databaseUrl: url }),
        ...(routeKey === undefined ? {} : { routeKey }),
        ...(restoreTested === undefined ? {} : { restoreTested }),
        ...(open === undefined ? {} : { open }),
        ...(reason === undefined ? {} : { reason }),
      },
      signal: run.io.signal,
    });
    run.emit(stamp, () => adoptedText(stamp));
    run.say(`Register its tenants: stampyard tenant import FILE --stamp ${name}`);
  },
});

function adoptedText(stamp: StampView): string {
  const head = `Stamp ${stamp.name} in ${stamp.region} is adopted into pool ${stamp.pool}\n`;
  return `${head}${lackingText(stamp)}`;
}

/** What it cannot do, one line each, with what adds it. */
export function lackingText({ adoption }: StampView): string {
  return (adoption?.lacking ?? []).map(({ capability, add }) => `  no ${capability}: ${add}\n`).join("");
}

function readSecret(run: Run<Options>, path: string | undefined): string | undefined {
  if (path === undefined) return undefined;
  try {
    return readFileSync(resolve(run.io.cwd, path), "utf8").trim();
  } catch (error) {
    throw new CommandFailure("INVALID_REQUEST", `Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

function readUnits(text: string): Record<string, number> {
  return Object.fromEntries(
    text.split(",").map((pair) => {
      const [, unit, value] = /^([a-z][a-z0-9-]*)=([0-9]+(?:\.[0-9]+)?)$/.exec(pair.trim()) ?? [];
      if (unit !== undefined && value !== undefined) return [unit, Number(value)];
      throw new CommandFailure("INVALID_REQUEST", `--capacity is ${JSON.stringify(text)}`, {
        mend: "Write tenants=400, or several with commas: tenants=400,rps=900.",
      });
    }),
  );
}
