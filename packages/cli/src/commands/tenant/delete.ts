import { command, confirmName, yesOption } from "../../define.ts";

export const tenantDelete = command<{ reason?: string }>({
  usage: "delete <tenant>",
  summary: "Delete a tenant: routers forget it first, then its stamp",
  completes: ["tenant"],
  options: (c) => yesOption(c).option("--reason <text>", "why, for the audit"),
  examples: [
    ["tenant delete acme", "asks for the name first"],
    ['tenant delete acme --reason "contract ended" --yes', "without asking"],
  ],
  run: async (run) => {
    const key = run.args[0] ?? "";
    const { reason } = run.options;
    const client = await run.client();
    const before = await client.tenantGet({ params: { key }, signal: run.io.signal });
    await confirmName(
      run,
      `delete tenant ${key}${before.stamp === undefined ? "" : ` from stamp ${before.stamp}`}`,
      key,
    );
    const tenant = await client.tenantDelete({
      params: { key },
      query: reason === undefined ? {} : { reason },
      signal: run.io.signal,
    });
    // Its phase still says what it was: the work has only been ordered.
    run.emit(tenant, () => `Tenant ${key} is being deleted\n`);
    run.say(`When it is gone, see what was erased: stampyard tenant certificate ${key}`);
  },
});
