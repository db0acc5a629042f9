/** What one process saw of one tenant since it last said so. */
export interface TenantDemand {
  readonly tenant: string;
  /** Requests that asked for a place under its rate; 0 is said too, of tenants with a part of their own. */
  readonly asked: number;
  /** Of these, refused for the rate. */
  readonly refused: number;
}

/** Which part of each tenant's rate this process may give, and what it sees of those whose parts may have to change (D17). */
export interface TenantParts {
  of(tenant: string): number;
  note(tenant: string, refused: boolean): void;
  /** Parts of these tenants from now on; of all others it is an equal one. @returns those whose part is another now */
  set(next: ReadonlyMap<string, number>): readonly string[];
  /** Demand of tenants that were refused for their rate, or have a part of their own, since it was last taken. */
  take(): readonly TenantDemand[];
}

/** Tenants of which demand is said, beside those with a part of their own. */
const mostDemands = 256;

/** @param shares processes that share each rate */
export function createTenantParts(shares: number): TenantParts {
  let parts: ReadonlyMap<string, number> = new Map();
  let demands = new Map<string, { asked: number; refused: number }>();
  return {
    of: (tenant) => (shares === 1 ? 1 : (parts.get(tenant) ?? 1 / shares)),
    note(tenant, refused) {
      if (shares === 1) return;
      let one = demands.get(tenant);
      if (one === undefined) {
        if (!parts.has(tenant) && (!refused || demands.size >= mostDemands)) return;
        one = { asked: 0, refused: 0 };
        demands.set(tenant, one);
      }
      one.asked += 1;
      if (refused) one.refused += 1;
    },
    set(next) {
      const all = new Set([...parts.keys(), ...next.keys()]);
      const changed = [...all].filter((tenant) => parts.get(tenant) !== next.get(tenant));
      parts = next;
      return changed;
    },
    take() {
      for (const tenant of parts.keys()) if (!demands.has(tenant)) demands.set(tenant, { asked: 0, refused: 0 });
      const said = [...demands].map(([tenant, one]) => ({ tenant, ...one }));
      demands = new Map();
      return said;
    },
  };
}
