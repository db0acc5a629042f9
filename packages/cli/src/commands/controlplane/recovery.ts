import type { RecoveryView } from "@stampyard/api";
import { command, confirmName, type Run, yesOption } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";
import { fields, table } from "../../output/table.ts";

interface Options {
  readonly home: readonly string[];
  readonly forget: readonly string[];
  readonly finish?: boolean;
  readonly incomplete?: boolean;
}

interface Decision {
  readonly tenant: string;
  readonly stamp?: string;
}

export const controlplaneRecovery = command<Options>({
  usage: "recovery",
  summary: "What a restored control plane has learned, and your word on what it cannot decide",
  about:
    "Without options it only shows. When nothing is in conflict and nobody is missing, the recovery ends by itself; until then routers serve what they have.",
  options: (c) =>
    yesOption(c)
      .option("--home <tenant=stamp>", "this stamp is the tenant's home; may be given again", append, [])
      .option("--forget <tenant>", "nobody is routed to it any more; may be given again", append, [])
      .option("--finish", "end the recovery now; refused while there are conflicts")
      .option("--incomplete", "with --finish: although some stamp or router could not be read"),
  examples: [
    ["controlplane recovery", "conflicts, and whom it still waits for"],
    ["controlplane recovery --home acme=shared-1 --forget trial-7", "decides two conflicts"],
    ["controlplane recovery --finish --incomplete", "a stamp is lost for good: go on without its word"],
  ],
  run: async (run) => {
    const { finish = false, incomplete = false } = run.options;
    const resolve = [...run.options.home.map(homeOf), ...run.options.forget.map((tenant) => ({ tenant }))];
    if (incomplete && !finish) {
      throw new CommandFailure("INVALID_REQUEST", "--incomplete says how to finish", { mend: "Add --finish." });
    }
    const client = await run.client();
    const { signal } = run.io;
    if (resolve.length === 0 && !finish) {
      const seen = await client.recoveryGet({ signal });
      run.emit(seen, () => shown(seen));
      return;
    }
    await confirm(run, resolve, incomplete);
    const left = await client.recoveryResolve({ body: { resolve, finish, incomplete }, signal });
    run.emit(left, () => shown(left));
  },
});

function append(value: string, before: readonly string[]): readonly string[] {
  return [...before, value];
}

function homeOf(text: string): Decision {
  const at = text.indexOf("=");
  if (at > 0 && at < text.length - 1) return { tenant: text.slice(0, at), stamp: text.slice(at + 1) };
  throw new CommandFailure("INVALID_REQUEST", `--home is ${JSON.stringify(text)}`, {
    mend: "Write it like --home acme=shared-1.",
  });
}

/** A home can be named anew; what is forgotten, or was never read, is not asked about again. */
async function confirm(run: Run<Options>, resolve: readonly Decision[], incomplete: boolean): Promise<void> {
  const forgotten = resolve.filter(({ stamp }) => stamp === undefined).map(({ tenant }) => tenant);
  if (forgotten.length > 0) await confirmName(run, `stop routing to ${forgotten.join(", ")}`, "forget");
  if (incomplete) {
    await confirmName(run, "finish without the word of stamps that may own tenants nobody knows of", "incomplete");
  }
}

function shown({ mode, reason, reports, adopt, conflicts, waitingOn }: RecoveryView): string {
  if (mode === "normal") return "The control plane is not recovering\n";
  const heard = reports.map(({ source, complete, tenants }) => `${source} (${complete ? tenants : "not all"})`);
  const parts = [
    fields([
      ["Mode", `${mode}${reason === undefined ? "" : `: ${reason}`}`],
      ["Heard", heard.join(", ")],
      ["Waits for", waitingOn.join(", ")],
    ]),
  ];
  if (adopt.length > 0) {
    const rows = adopt.map(({ tenant, stamp, epoch, why }) => [tenant, stamp, epoch, why]);
    parts.push(`Will be adopted:\n${table(["tenant", "stamp", "epoch", "why"], rows)}`);
  }
  if (conflicts.length > 0) {
    const rows = conflicts.map(({ tenant, why, claims }) => [
      tenant,
      claims.map(({ stamp, epoch, source }) => `${stamp} (epoch ${epoch}, by ${source})`).join("; "),
      why,
    ]);
    parts.push(`In conflict, decide with --home or --forget:\n${table(["tenant", "claims", "why"], rows)}`);
  }
  return parts.join("\n");
}
