import { command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";

export const tenantWhere = command<{ at?: string }>({
  usage: "where <tenant>",
  summary: "Say which stamp was a tenant's home at a time",
  completes: ["tenant"],
  options: (c) => c.option("--at <time>", "ISO 8601, e.g. 2026-11-22T14:03:00Z (default: now)"),
  examples: [["tenant where acme --at 2026-11-22T14:03:00Z", "its home stamp and epoch at 14:03"]],
  run: async (run) => {
    const client = await run.client();
    const at = run.options.at === undefined ? undefined : isoTime(run.options.at);
    const found = await client.tenantWhere({
      params: { key: run.args[0] ?? "" },
      query: at === undefined ? {} : { at },
      signal: run.io.signal,
    });
    run.emit(found, () =>
      found.stamp === undefined
        ? `Tenant ${found.tenant} had no home at ${found.at}\n`
        : `Tenant ${found.tenant} was on ${found.stamp} (epoch ${found.epoch}) at ${found.at}\n`,
    );
  },
});

function isoTime(text: string): string {
  const at = Date.parse(text);
  if (!Number.isNaN(at)) return new Date(at).toISOString();
  throw new CommandFailure("INVALID_REQUEST", `--at is ${JSON.stringify(text)}`, {
    mend: "Give a time such as 2026-11-22T14:03:00Z.",
  });
}
