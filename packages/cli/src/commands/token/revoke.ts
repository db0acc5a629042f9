import { command } from "../../define.ts";

export const tokenRevoke = command({
  usage: "revoke <id>",
  summary: "Revoke a token at once",
  examples: [["token revoke tok_4fz0c2", "requests with it are refused from now on"]],
  run: async (run) => {
    const id = run.args[0] ?? "";
    const client = await run.client();
    await client.tokenRevoke({ params: { id }, signal: run.io.signal });
    run.emit({ id, revoked: true }, () => `Token ${id} is revoked\n`);
  },
});
