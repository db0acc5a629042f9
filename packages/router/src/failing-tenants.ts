/** The last requests of one tenant that has failed lately. */
export interface TenantWindow {
  requests: number;
  errors: number;
  /** Since when a third of them or more fail, milliseconds since 1970; 0 = they do not. It ends below a sixth. */
  since: number;
  /** When the last one failed. */
  failedAt: number;
}

/** A window never holds more; then both numbers are halved, so that what was long ago weighs little. */
const longest = 64;
/** Of one stamp. When more fail at once, it is the stamp that fails, and its own counts say so. */
const mostTenants = 200;
const staleMs = 600_000;
const fadingMs = 60_000;

/** A tenant enters with its first failure and leaves when its window has none: whoever never fails costs nothing. */
export function noteTenant(
  failing: Map<string, TenantWindow>,
  tenant: string,
  isFault: boolean,
  now: () => number,
): void {
  let window = failing.get(tenant);
  if (window === undefined) {
    if (!isFault || (failing.size >= mostTenants && !makeRoom(failing, now()))) return;
    window = { requests: 0, errors: 0, since: 0, failedAt: 0 };
    failing.set(tenant, window);
  }
  window.requests += 1;
  if (isFault) {
    window.errors += 1;
    window.failedAt = now();
  }
  // Far below the half that is a failing tenant: one that was nearly failing before does not begin to now.
  if (window.errors * 6 < window.requests) window.since = 0;
  else if (window.since === 0 && window.errors * 3 >= window.requests) window.since = window.failedAt;
  if (window.requests < longest) return;
  window.requests >>= 1;
  window.errors >>= 1;
  if (window.errors === 0) failing.delete(tenant);
}

/** Forgets who has not failed for long. False when there is nobody to forget. */
function makeRoom(failing: Map<string, TenantWindow>, now: number): boolean {
  for (const [tenant, { since, failedAt }] of failing) {
    if (now - failedAt > (since === 0 ? fadingMs : staleMs)) failing.delete(tenant);
  }
  return failing.size < mostTenants;
}

/** Adds what another process saw of the same tenants. */
export function addFailing(total: Map<string, TenantWindow>, more: ReadonlyMap<string, TenantWindow>): void {
  for (const [tenant, one] of more) {
    const sum = total.get(tenant);
    if (sum === undefined) {
      total.set(tenant, { ...one });
      continue;
    }
    sum.requests += one.requests;
    sum.errors += one.errors;
    sum.failedAt = Math.max(sum.failedAt, one.failedAt);
    if (one.since > 0) sum.since = sum.since === 0 ? one.since : Math.min(sum.since, one.since);
  }
}
