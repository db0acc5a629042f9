import { type FailingTenant, type GateRule, type Instant, verifyTenantKey } from "@stampyard/domain";
import type { Store } from "../../store/port.ts";

interface Failing {
  requests: number;
  errors: number;
  /** Since when, by the first router that saw it; by the clock of the store. 0 = not in most of its requests. */
  since: Instant;
}

/** By stamp, then tenant. */
export type FailingReports = ReadonlyMap<string, ReadonlyMap<string, Failing>>;

/** What all live routers together say of tenants that fail. */
export async function readFailing({ evidence }: Pick<Store, "evidence">): Promise<FailingReports> {
  const stamps = new Map<string, Map<string, Failing>>();
  for (const { failing, receivedAt } of await evidence.reports()) {
    for (const { stamp, tenant, requests, errors, forMs = 0 } of failing) {
      const tenants = stamps.get(stamp) ?? new Map<string, Failing>();
      stamps.set(stamp, tenants);
      const sum = tenants.get(tenant) ?? { requests: 0, errors: 0, since: 0 };
      tenants.set(tenant, sum);
      sum.requests += requests;
      sum.errors += errors;
      const since = forMs > 0 ? receivedAt - forMs : 0;
      if (since > 0) sum.since = sum.since === 0 ? since : Math.min(sum.since, since);
    }
  }
  return stamps;
}

/** @param begunAt who failed before it did not begin to by the update */
export function failingOf(reports: FailingReports, stamp: string, begunAt: Instant): readonly FailingTenant[] {
  return (
    [...(reports.get(stamp) ?? [])]
      .map(([tenant, { requests, errors, since }]) => ({
        tenant,
        requests,
        errors,
        wasFailing: since > 0 && since < begunAt,
      }))
      // Our own is judged by what it asks for: its requests may fail because they are meant to.
      .filter(({ tenant }) => tenant !== verifyTenantKey(stamp))
  );
}

/**
 * As `failingOf`, beside siblings: where each of them has as many tenants that newly fail, it is not the update that they
 * fail of, but something that all of them share.
 */
export function failingBeside(
  reports: FailingReports,
  stamp: string,
  beside: {
    readonly begunAt: Instant;
    readonly siblings: readonly string[];
    readonly rule: GateRule["tenant"];
  },
): readonly FailingTenant[] {
  const { begunAt, siblings, rule } = beside;
  const own = failingOf(reports, stamp, begunAt);
  const isNew = ({ requests, errors, wasFailing }: FailingTenant) =>
    !wasFailing && requests >= rule.leastRequests && errors >= rule.errorShare * requests;
  const newly = own.filter(isNew).length;
  if (newly === 0 || siblings.length === 0) return own;
  const elsewhere = siblings.reduce(
    (sum, sibling) => sum + failingOf(reports, sibling, begunAt).filter(isNew).length,
    0,
  );
  if (elsewhere / siblings.length < newly) return own;
  return own.map((tenant) => ({ ...tenant, wasFailing: true }));
}
