import { command } from "../../define.ts";

export const tenantHostnameAdd = command({
  usage: "add <tenant> <hostname>",
  summary: "Give a tenant a hostname of its own",
  completes: ["tenant"],
  examples: [["tenant hostname add acme notes.acme.com", "requests for that name reach acme's stamp"]],
  run: async (run) => {
    const [key = "", hostname = ""] = run.args;
    const client = await run.client();
    const tenant = await client.tenantHostnameAdd({ params: { key, hostname }, signal: run.io.signal });
    run.emit(tenant, () => `Tenant ${key} has ${tenant.hostnames.join(", ")}\n`);
  },
});
