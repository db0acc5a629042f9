import { Option } from "commander";
import { command, numberIn } from "../../define.ts";
import { exitCode } from "../../exit-codes.ts";
import { CommandFailure } from "../../failure.ts";

interface Options {
  readonly pool?: string;
  readonly tier?: string;
  readonly residency?: readonly string[];
  readonly weight?: readonly string[];
  readonly hostname?: readonly string[];
  readonly stamp?: string;
  readonly tenancy?: "shared" | "dedicated";
  readonly channel?: string;
  readonly region?: readonly string[];
  readonly wait?: boolean;
  readonly timeout: number;
}

export const tenantCreate = command<Options>({
  usage: "create <tenant>",
  summary: "Create a tenant and place it on a stamp with room",
  about: "With --wait it returns when the stamp knows the tenant and every live router can find it.",
  exits: [exitCode.ok, exitCode.error, exitCode.notReady, exitCode.interrupted],
  options: (c) =>
    c
      .option("--pool <name>", "its pool (default: the fleet's only one)")
      .option("--tier <name>", "its tier")
      .option("--residency <region...>", "regions it may live in (default: any)")
      .option("--region <name...>", "the same, in a word: --tenancy dedicated --region eu")
      .addOption(
        new Option("--tenancy <kind>", "a stamp of its own, or one with others (default: what its pool is)").choices([
          "shared",
          "dedicated",
        ]),
      )
      .option("--channel <name>", "release channel of its stamp (default: any)")
      .option("--weight <unit=number...>", "what it takes of a stamp (default: what its tier does)")
      .option("--hostname <name...>", "hostnames of its own")
      .option("--stamp <name>", "its home, when it lives there already")
      .option("--wait", "return when it is active and every live router knows it")
      .option("--timeout <seconds>", "how long to wait", numberIn("timeout", 1, 86_400), 60),
  examples: [
    ["tenant create acme --wait", "ready for requests when the command returns"],
    ["tenant create globex --residency eu --hostname notes.globex.com", "in the EU, with its own hostname"],
    ["tenant create initech --tenancy dedicated --region eu", "a stamp of its own in the EU"],
  ],
  run: async (run) => {
    const { pool, tier, residency, region, weight, hostname, stamp, tenancy, channel } = run.options;
    const regions =
      residency === undefined && region === undefined ? undefined : [...(residency ?? []), ...(region ?? [])];
    const { requireTenantKey } = await import("@stampyard/api");
    const key = requireTenantKey(run.args[0] ?? "");
    const client = await run.client();
    const waitMs = run.options.wait === true ? Math.min(120_000, run.options.timeout * 1000) : 0;
    const tenant = await client.tenantCreate({
      query: { wait: waitMs },
      body: {
        key,
        ...(pool === undefined ? {} : { pool }),
        ...(tier === undefined ? {} : { tier }),
        ...(regions === undefined ? {} : { residency: regions }),
        ...(tenancy === undefined ? {} : { tenancy }),
        ...(channel === undefined ? {} : { channel }),
        ...(weight === undefined ? {} : { weight: parseWeight(weight) }),
        ...(hostname === undefined ? {} : { hostnames: [...hostname] }),
        ...(stamp === undefined ? {} : { stamp }),
      },
      signal: run.io.signal,
    });
    run.emit(
      tenant,
      () => `Tenant ${key} is ${tenant.phase}${tenant.stamp === undefined ? "" : ` on ${tenant.stamp}`}\n`,
    );
    if (waitMs === 0) {
      run.say(`See how it goes: stampyard tenant show ${key}`);
      return exitCode.ok;
    }
    if (tenant.phase === "active") return exitCode.ok;
    throw new CommandFailure(
      "TIMEOUT",
      `Tenant ${key} is ${tenant.phase}: ${tenant.cause ?? tenant.waitingOn ?? "no cause known"}`,
      {
        mend: `It is kept and worked on; look again with \`stampyard tenant show ${key}\`.`,
        exit: exitCode.notReady,
      },
    );
  },
});

/** @throws CommandFailure INVALID_REQUEST */
export function parseWeight(pairs: readonly string[]): Record<string, number> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const [unit = "", number = ""] = pair.split("=");
      const value = Number(number);
      if (unit !== "" && number !== "" && Number.isFinite(value) && value >= 0) return [unit, value];
      throw new CommandFailure("INVALID_REQUEST", `--weight is ${JSON.stringify(pair)}`, {
        mend: "Write unit=number, e.g. tenants=1 or rps=50.",
      });
    }),
  );
}
