import type { StampView } from "@stampyard/api";
import type { Client } from "../../connection.ts";
import { command, confirmName, numberIn, type Run, yesOption } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";
import { waitFor } from "../../process/wait.ts";

interface Options {
  readonly force?: boolean;
  readonly overrideFreeze?: boolean;
  readonly reason?: string;
  readonly wait?: boolean;
  readonly timeout: number;
}

export const stampDestroy = command<Options>({
  usage: "destroy <stamp>",
  summary: "Destroy a stamp with its data; an adopted one is only forgotten",
  about: "A stamp with tenants is refused unless --force; a forced destruction is in the audit with its reason.",
  completes: ["stamp"],
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    yesOption(c)
      .option("--force", "also when tenants live on it: their data is lost")
      .option("--override-freeze", "also while a freeze stops that; wants --reason")
      .option("--reason <text>", "why, for the audit")
      .option("--wait", "return when nothing of it is left")
      .option("--timeout <seconds>", "how long to wait", numberIn("timeout", 1, 86_400), 120),
  examples: [
    ["stamp destroy shared-3", "asks for the name, then destroys the empty stamp"],
    ['stamp destroy shared-3 --force --reason "trial ended" --yes', "with its tenants, without asking"],
  ],
  run: async (run) => {
    const name = run.args[0] ?? "";
    const client = await run.client();
    const before = await client.stampGet({ params: { name }, signal: run.io.signal });
    const tenants = before.used.tenants === 0 ? "" : ` and the ${before.used.tenants} places its tenants take`;
    const what =
      before.origin === "adopted" ? `forget stamp ${name}, which goes on running` : `destroy stamp ${name}, its data`;
    await warnOfMinimum(run, client, before);
    await confirmName(run, `${what}${tenants}`, name);
    const stamp = await client.stampDelete({
      params: { name },
      query: {
        force: run.options.force === true,
        ...(run.options.overrideFreeze === true ? { overrideFreeze: true } : {}),
        ...(run.options.reason === undefined ? {} : { reason: run.options.reason }),
      },
      signal: run.io.signal,
    });
    if (run.options.wait === true) {
      const gone = await waitFor(
        () =>
          client.stampGet({ params: { name } }).then(
            (seen) => (seen.phase === "gone" ? true : undefined),
            (error: { code?: string }) => {
              if (error.code === "STAMP_NOT_FOUND" || error.code === "NOT_FOUND") return true;
              throw error;
            },
          ),
        { timeoutMs: run.options.timeout * 1000, signal: run.io.signal, everyMs: 250 },
      );
      if (gone !== true) {
        throw new CommandFailure("TIMEOUT", `Stamp ${name} is still being destroyed`, {
          mend: `Look again with \`stampyard stamp show ${name}\`.`,
          exit: exitCode.notReady,
        });
      }
    }
    const end = before.origin === "adopted" ? "being forgotten; nothing of it is touched" : "being destroyed";
    run.emit(stamp, () => `Stamp ${name} is ${run.options.wait === true ? "gone" : end}\n`);
  },
});

/** A pool is built up to its minimum again, whoever destroyed what. */
async function warnOfMinimum<O>(run: Run<O>, client: Client, { name, pool: of, origin }: StampView): Promise<void> {
  if (origin === "adopted") return;
  const pool = await client.poolGet({ params: { name: of }, signal: run.io.signal }).catch(() => undefined);
  if (pool === undefined || pool.present > pool.stamps.min) return;
  run.say(
    `Pool ${of} has ${pool.present} stamps and a minimum of ${pool.stamps.min}: it will build another one for ${name} at once. Lower min in the fleet file first to have fewer.`,
  );
}
