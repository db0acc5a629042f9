import { command } from "../../define.ts";

export const tenantHostnameRemove = command({
  usage: "remove <tenant> <hostname>",
  summary: "Take a hostname away from a tenant",
  completes: ["tenant"],
  examples: [["tenant hostname remove acme notes.acme.com", "the name is free again"]],
  run: async (run) => {
    const [key = "", hostname = ""] = run.args;
    const client = await run.client();
    const tenant = await client.tenantHostnameRemove({ params: { key, hostname }, signal: run.io.signal });
    run.emit(tenant, () => `Tenant ${key} has ${tenant.hostnames.join(", ") || "no hostname of its own"}\n`);
  },
});
