import { command, numberIn } from "../../define.ts";

interface Options {
  readonly for: number;
  readonly reason?: string;
}

export const tenantHold = command<Options>({
  usage: "hold <tenant>",
  summary: "Let a tenant's requests wait in the routers, for seconds",
  about:
    "They go on at `tenant release`, and are answered 503 when the time is over. Its other requests, on their way already, end as they would.",
  completes: ["tenant"],
  options: (c) =>
    c
      .option("--for <seconds>", "it ends by itself after so long", numberIn("for", 0.1, 30), 5)
      .option("--reason <text>", "kept in the audit"),
  examples: [
    ["tenant hold acme --for 10", "at most ten seconds, for a step in its database; tenant release acme ends it"],
  ],
  run: async (run) => {
    const key = run.args[0] ?? "";
    const { for: seconds, reason } = run.options;
    const client = await run.client();
    const body = { ttlMs: Math.round(seconds * 1_000), waitMs: 1_000, ...(reason === undefined ? {} : { reason }) };
    const hold = await client.holdTenant({ params: { key }, body, signal: run.io.signal });
    run.emit(hold, () => {
      const late = hold.routers.filter(({ inFlight }) => inFlight !== 0);
      const rest = late.map(({ router, inFlight }) =>
        inFlight === undefined
          ? `router ${router} does not say that it holds`
          : `${inFlight} on their way in ${router}`,
      );
      return [`Tenant ${key} is held for ${seconds} s`, ...rest].join("\n  ").concat("\n");
    });
  },
});
