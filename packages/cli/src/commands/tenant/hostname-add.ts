import { command } from "../../define.ts";

export const tenantHostnameAdd = command({
  usage: "add <tenant> <hostname>",
  summary: "Give a tenant a hostname of its own, or another alias",
  about:
    "An alias is kind:value, for routing rules that read one from a header; like a hostname it belongs to one tenant.",
  completes: ["tenant"],
  examples: [
    ["tenant hostname add acme notes.acme.com", "requests for that name reach acme's stamp"],
    ["tenant hostname add acme api-key:ak_4f2c", "requests whose API key begins with ak_4f2c do"],
  ],
  run: async (run) => {
    const [key = "", hostname = ""] = run.args;
    const client = await run.client();
    const tenant = await client.tenantHostnameAdd({ params: { key, hostname }, signal: run.io.signal });
    run.emit(tenant, () => `Tenant ${key} has ${tenant.hostnames.join(", ")}\n`);
  },
});
