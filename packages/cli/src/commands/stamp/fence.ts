import type { Client, FenceView } from "@stampyard/api";
import { Option } from "commander";
import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { fields, table } from "../../output/table.ts";
import { waitFor } from "../../process/wait.ts";

type Mode = "off" | "report" | "enforce";

interface FenceOptions {
  readonly mode?: Mode;
  readonly dryRun?: boolean;
  readonly timeout: number;
  readonly reason?: string;
}

export const stampFence = command<FenceOptions>({
  usage: "fence <stamp>",
  summary: "Show, install or remove the guard on a stamp's tables that moves need",
  about:
    "Without --mode it changes nothing. Tables are done one after the other, each with waits of a fifth of a second at most, so a busy one never holds its writers up; who holds it is named, and what was done stays. Start with report: it lets every write pass and notes what enforce would refuse. A built stamp's template may declare the mode; it comes back with the next release.",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .addOption(new Option("--mode <mode>", "what it is to be").choices(["off", "report", "enforce"]))
      .option("--dry-run", "say what --mode would do, and what stands in its way")
      .option("--timeout <seconds>", "how long to try while a table is held", numberIn("timeout", 1, 86_400), 120)
      .option("--reason <text>", "for the audit"),
  examples: [
    ["stamp fence shared-1", "each table, and what report mode has noted"],
    ["stamp fence shared-1 --mode report", "install it; refuse nothing yet"],
    ["stamp fence shared-1 --mode enforce --dry-run", "tenants without a home, and who holds a table now"],
    ["stamp fence shared-1 --mode off", "take it off every table"],
  ],
  run: async (run) => {
    const name = run.args[0] ?? "";
    const client = await run.client();
    const { mode, dryRun, reason, timeout } = run.options;
    if (mode === undefined) {
      if (dryRun === true) {
        throw new CommandFailure("INVALID_REQUEST", "--dry-run needs --mode", { exit: exitCode.error });
      }
      const seen = await client.fenceGet({ params: { name }, signal: run.io.signal });
      run.emit(seen, () => fenceText(seen));
      return;
    }
    const body = { mode, dryRun: dryRun === true, ...(reason === undefined ? {} : { reason }) };
    let refusal = "";
    const done = await waitFor(
      () =>
        tryOnce(client, name, body, run.io.signal, (why) => {
          if (why !== refusal) run.say(why);
          refusal = why;
        }),
      { timeoutMs: timeout * 1_000, signal: run.io.signal, everyMs: 1_000 },
    );
    if (done === undefined) {
      throw new CommandFailure("TIMEOUT", `The fence is not complete: ${refusal}`, {
        mend: "End that transaction, or repeat the command in a quieter hour: it goes on where it stopped.",
        exit: exitCode.notReady,
      });
    }
    run.emit(done, () => fenceText(done));
  },
});

/** A table that somebody holds is tried again; tables that are done stay done. */
async function tryOnce(
  client: Client,
  name: string,
  body: { readonly mode: Mode; readonly dryRun: boolean; readonly reason?: string },
  signal: AbortSignal,
  onHeld: (why: string) => void,
): Promise<FenceView | undefined> {
  try {
    return await client.fenceSet({ params: { name }, body, signal });
  } catch (caught) {
    if ((caught as { code?: unknown }).code !== "TIMEOUT") throw caught;
    onHeld((caught as Error).message);
    return undefined;
  }
}

export function fenceText({ stamp, databases }: FenceView): string {
  return databases.map((database) => databaseText(stamp, database)).join("\n");
}

function databaseText(stamp: string, database: FenceView["databases"][number]): string {
  const { name, declared, holdsTables, tables, unknown, report, changes, homeless } = database;
  const isOn = tables.some(({ mode }) => mode !== "off");
  const facts = fields([
    ["Declared", declared ?? "nothing"],
    ["Changes of tables", isOn ? (holdsTables ? "wait for moves" : "do not wait: that needs a superuser") : undefined],
    ["Not of tenants, not named", unknown.length === 0 ? undefined : `${unknown.join(", ")}; a move refuses these`],
  ]);
  const parts = [
    `Fence of ${name} in stamp ${stamp}\n\n${facts}`,
    table(
      ["table", "mode", "via"],
      tables.map(({ table: of, mode, via }) => [of, mode, (via ?? []).join(" → ")]),
    ),
  ];
  if (report.length > 0) {
    const lines = report.map(({ table: of, tenant, state, writes, latest }) => [
      of,
      tenant ?? "(none)",
      state ?? "no home",
      String(writes),
      latest,
    ]);
    parts.push(`Let pass by report\n${table(["table", "tenant", "home", "writes", "latest"], lines)}`);
  }
  if (changes !== undefined) {
    const lines = changes.map(({ table: of, change, heldBy }) => [of, change, heldBy.join("; ")]);
    parts.push(
      lines.length === 0 ? "Nothing would change\n" : `Would change\n${table(["table", "change", "held by"], lines)}`,
    );
  }
  for (const { table: of, tenants } of homeless ?? []) {
    parts.push(`${of} has rows of tenants without a home here: ${tenants.join(", ")}. Register them first\n`);
  }
  return parts.join("\n");
}
