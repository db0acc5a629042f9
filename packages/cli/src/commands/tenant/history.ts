import { command } from "../../define.ts";
import { table } from "../../output/table.ts";

export const tenantHistory = command({
  usage: "history <tenant>",
  summary: "Show what happened to a tenant, oldest first",
  completes: ["tenant"],
  examples: [["tenant history acme", "every phase, home and epoch, with time and actor"]],
  run: async (run) => {
    const client = await run.client();
    const items = await client.all("tenantHistory", { params: { key: run.args[0] ?? "" }, signal: run.io.signal });
    run.emit({ items }, () =>
      table(
        ["at", "event", "phase", "stamp", "epoch", "actor"],
        items.map((row) => [row.at, row.event, row.phase, row.stamp, row.epoch, row.actor]),
      ),
    );
  },
});
