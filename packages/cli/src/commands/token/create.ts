import { command } from "../../define.ts";
import { CommandFailure } from "../../failure.ts";

const roles = ["admin", "operator", "viewer", "router"] as const;

export const tokenCreate = command<{ role: string }>({
  usage: "create <name>",
  summary: "Make a token; it is shown once",
  about: "The token alone goes to stdout, so that a redirect makes the token file.",
  options: (c) => c.requiredOption("--role <role>", `what it may do: ${roles.join(", ")}`),
  examples: [
    ["token create ci --role operator > ci.token", "a token for a pipeline; use it with --token-file ci.token"],
  ],
  run: async (run) => {
    const role = roles.find((known) => known === run.options.role);
    if (role === undefined) {
      throw new CommandFailure("INVALID_REQUEST", `There is no role ${JSON.stringify(run.options.role)}`, {
        mend: `Use one of ${roles.join(", ")}.`,
      });
    }
    const client = await run.client();
    const token = await client.tokenCreate({ body: { name: run.args[0] ?? "", role }, signal: run.io.signal });
    run.emit(token, () => `${token.secret}\n`);
    run.say(
      `Token ${token.id} of role ${token.role}. It is not kept anywhere; revoke it with: stampyard token revoke ${token.id}`,
    );
  },
});
