import { command, confirmName, yesOption } from "../define.ts";
import { CommandFailure } from "../failure.ts";

export const directoryAccept = command<{ reason?: string }>({
  usage: "accept <batch>",
  summary: "Let a held batch of directory changes go to the routers",
  about:
    "A batch that touches many tenants, or empties a stamp, is held until somebody has looked at it; `stampyard status` shows it.",
  options: (c) => yesOption(c).option("--reason <text>", "why, for the audit"),
  examples: [["directory accept 12", "asks for the number again, then lets batch 12 go"]],
  run: async (run) => {
    const text = run.args[0] ?? "";
    const { reason } = run.options;
    const batch = Number(text);
    if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(batch)) {
      throw new CommandFailure("INVALID_REQUEST", `${JSON.stringify(text)} is no held batch`, {
        mend: "Use the number that `stampyard status` shows.",
      });
    }
    await confirmName(run, `publish the held batch ${batch} of directory changes`, text);
    const client = await run.client();
    await client.directoryConfirm({
      query: { batch, ...(reason === undefined ? {} : { reason }) },
      signal: run.io.signal,
    });
    run.emit({ batch, accepted: true }, () => `Batch ${batch} is accepted\n`);
  },
});
