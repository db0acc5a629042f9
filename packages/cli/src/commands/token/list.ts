import { command } from "../../define.ts";
import { table } from "../../output/table.ts";

export const tokenList = command({
  usage: "list",
  summary: "List tokens, without their secrets",
  examples: [["token list", "who may speak to the control plane, and when each token was last used"]],
  run: async (run) => {
    const client = await run.client();
    const items = await client.all("tokenList", { signal: run.io.signal });
    run.emit({ items }, () =>
      table(
        ["id", "name", "role", "created", "last used", "revoked"],
        items.map((t) => [t.id, t.name, t.role, t.createdAt, t.lastUsedAt, t.revokedAt]),
      ),
    );
  },
});
