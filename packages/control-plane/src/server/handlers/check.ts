import type { TenantResidencyView } from "@stampyard/api";
import { type ResidencyRule, residencyBreach, residencyOf, StampyardError, type Tenant } from "@stampyard/domain";
import type { Handlers } from "../call.ts";
import type { ServerDeps } from "../deps.ts";
import { storePage } from "../paging.ts";
import { checkSharing } from "../sharing.ts";

type Names = "fleetCheck" | "residencyList";

export function checkHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store } = deps;
  return {
    async fleetCheck({ query, signal }) {
      const { stamp } = query;
      if (stamp !== undefined && (await store.stamps.read(stamp)) === undefined) {
        throw new StampyardError("STAMP_NOT_FOUND", `No stamp ${stamp}`, { mend: "See stampyard stamp list." });
      }
      const report = await checkSharing(deps, signal);
      const concerns = (names: readonly string[]) => stamp === undefined || names.includes(stamp);
      return {
        stamps: report.stamps,
        findings: report.findings.flatMap((one) =>
          concerns(one.stamps) ? [{ ...one, stamps: [...one.stamps], where: [...one.where] }] : [],
        ),
        unseen: report.unseen
          .filter((one) => concerns([one.stamp]))
          .map(({ stamp: name, why }) => ({ stamp: name, why })),
      };
    },

    async residencyList({ query }) {
      const [page, stamps, fleet] = await Promise.all([
        store.tenants.list(storePage(query)),
        store.stamps.all(),
        store.fleet.read(),
      ]);
      const regions = new Map(stamps.map(({ value }) => [value.name, value.region]));
      const rules = fleet?.value.fleet.residency ?? [];
      const rows = page.items.map(({ value }) => residencyView(value, rules, regions));
      const items = query.violations ? rows.filter((row) => row.violation !== undefined) : rows;
      return { items, ...(page.nextCursor === undefined ? {} : { nextCursor: page.nextCursor }) };
    },
  };
}

/** Where one tenant's data is and may be. The home of one that waits for a place is decided under the same rules. */
export function residencyView(
  tenant: Tenant,
  rules: readonly ResidencyRule[],
  regions: ReadonlyMap<string, string>,
): TenantResidencyView {
  const { key, tier, residency, stamp, state } = tenant;
  const allowed = residencyOf(rules, tenant);
  const region = stamp === undefined ? undefined : regions.get(stamp);
  const breach = violationOf(tenant, rules, region);
  const { rule } = allowed;
  return {
    tenant: key,
    tier,
    phase: state.kind,
    residency: [...residency],
    allowed: allowed.kind === "conflict" ? [] : [...allowed.regions],
    ...(rule === undefined ? {} : { rule }),
    ...(stamp === undefined ? {} : { stamp }),
    ...(region === undefined ? {} : { region }),
    ...(breach === undefined ? {} : { violation: breach }),
  };
}

function violationOf(tenant: Tenant, rules: readonly ResidencyRule[], region: string | undefined): string | undefined {
  if (region !== undefined) return residencyBreach(rules, tenant, region)?.why;
  if (tenant.stamp !== undefined) return undefined;
  const allowed = residencyOf(rules, tenant);
  return allowed.kind === "conflict" ? `can live nowhere: ${allowed.why}` : undefined;
}
