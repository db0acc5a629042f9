import { command } from "../../define.ts";

export const tenantRelease = command<object>({
  usage: "release <tenant>",
  summary: "Let the requests of a held tenant go on",
  completes: ["tenant"],
  examples: [["tenant release acme", "after tenant hold acme; the hold of a move is left to its move"]],
  run: async (run) => {
    const key = run.args[0] ?? "";
    const client = await run.client();
    await client.releaseTenant({ params: { key }, signal: run.io.signal });
    run.emit({ tenant: key, released: true }, () => `Tenant ${key} is released\n`);
  },
});
