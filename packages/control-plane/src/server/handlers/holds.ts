import { holdTenant, releaseTenant } from "../../holds/hold-tenant.ts";
import type { Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";

export function holdHandlers(deps: ServerDeps): Pick<Handlers, "holdTenant" | "releaseTenant" | "holdAcknowledge"> {
  return {
    async holdTenant(call) {
      const tenant = call.params.key;
      const { moveId, ttlMs, waitMs, reason } = call.body;
      const ctx = writeContext(deps, call, reason);
      const { quiet, routers } = await holdTenant(deps, { tenant, moveId, ttlMs, waitMs }, ctx);
      return { tenant, moveId, ttlMs, quiet, routers: [...routers] };
    },

    async releaseTenant(call) {
      const wish = { tenant: call.params.key, moveId: call.query.moveId };
      await releaseTenant(deps, wish, writeContext(deps, call));
      return undefined;
    },

    async holdAcknowledge({ body }) {
      await deps.store.holds.acknowledge(body);
      return undefined;
    },
  };
}
