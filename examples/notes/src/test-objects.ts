import { type ObjectStore, sha256Of } from "./objects.ts";

/** As the real one, but that it forgets. */
export function memoryObjects(): ObjectStore {
  const held = new Map<string, Map<string, Uint8Array>>();
  return {
    async put(tenant, bytes) {
      const sha256 = sha256Of(bytes);
      const objects = held.get(tenant) ?? new Map();
      held.set(tenant, objects.set(sha256, bytes));
      return sha256;
    },
    get: async (tenant, sha256) => held.get(tenant)?.get(sha256),
    list: async (tenant) => [...(held.get(tenant)?.keys() ?? [])].sort(),
    tenants: async () => [...held.keys()].sort(),
    async erase(tenant) {
      held.delete(tenant);
    },
    close: async () => {},
  };
}
