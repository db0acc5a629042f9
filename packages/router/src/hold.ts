/** What became of a request that waited: the tenant is free again, its hold ran out, or no more may wait. */
export type HoldVerdict = "go" | "expired" | "full";

export interface HoldBounds {
  /** Longest hold that is taken over from a feed, in milliseconds. @default 30000 */
  readonly mostMs?: number;
  /** Requests of one tenant that wait. @default 256 */
  readonly mostPerTenant?: number;
  /** Requests that wait in all. @default 2048 */
  readonly mostInAll?: number;
  /** Tenants that are held at the same time. @default 1024 */
  readonly mostTenants?: number;
}

export interface HoldPorts {
  /** Monotonic, milliseconds. */
  readonly now: () => number;
  /** Calls back once after that many milliseconds; gives what cancels it. */
  readonly after: (ms: number, call: () => void) => () => void;
}

export interface HoldState {
  readonly tenant: string;
  readonly moveId: string;
  readonly leftMs: number;
  readonly waiting: number;
}

export interface Holds {
  /** Requests of this tenant, whose home has this epoch, wait from now on for at most `ttlMs`; again extends it. */
  hold(tenant: string, moveId: string, ttlMs: number, epoch: number): void;
  /** Lets all that wait go on, if it is this move that holds. */
  release(tenant: string, moveId: string): void;
  /** The tenant's home has this epoch. If it is higher, the move is over, whatever became of the release. */
  moved(tenant: string, epoch: number): void;
  isHeld(tenant: string): boolean;
  /**
   * Waits for the end of a hold. `done` is called once, later or at once; what is returned forgets the request.
   */
  wait(tenant: string, done: (verdict: HoldVerdict) => void): () => void;
  states(): readonly HoldState[];
}

interface Held {
  readonly moveId: string;
  readonly epoch: number;
  readonly until: number;
  readonly cancel: () => void;
  readonly waiting: Set<(verdict: HoldVerdict) => void>;
}

/**
 * Tenants whose requests wait for the end of a move (decision D13): an optimisation, never safety. Nothing of it is
 * written down, time is monotonic, and every bound ends in an answer: a hold that nobody releases runs out by itself.
 */
export function createHolds({ now, after }: HoldPorts, bounds: HoldBounds = {}): Holds {
  const { mostMs = 30_000, mostPerTenant = 256, mostInAll = 2_048, mostTenants = 1_024 } = bounds;
  const held = new Map<string, Held>();
  let waiting = 0;

  function end(tenant: string, verdict: HoldVerdict): void {
    const entry = held.get(tenant);
    if (entry === undefined) return;
    held.delete(tenant);
    entry.cancel();
    waiting -= entry.waiting.size;
    for (const done of [...entry.waiting]) done(verdict);
  }

  return {
    hold(tenant, moveId, ttlMs, epoch) {
      const ms = Math.min(Math.max(ttlMs, 1), mostMs);
      const old = held.get(tenant);
      if (old === undefined && held.size >= mostTenants) return;
      old?.cancel();
      const entry: Held = {
        moveId,
        epoch,
        until: now() + ms,
        cancel: after(ms, () => end(tenant, "expired")),
        // Who waited for an earlier move waits for this one: its own end would send it to a home that is being left.
        waiting: old?.waiting ?? new Set(),
      };
      held.set(tenant, entry);
    },
    release(tenant, moveId) {
      if (held.get(tenant)?.moveId === moveId) end(tenant, "go");
    },
    moved(tenant, epoch) {
      const entry = held.get(tenant);
      if (entry !== undefined && epoch > entry.epoch) end(tenant, "go");
    },
    isHeld(tenant) {
      if (held.size === 0) return false;
      const entry = held.get(tenant);
      // A timer may be late; the clock decides.
      return entry !== undefined && now() < entry.until;
    },
    wait(tenant, done) {
      const entry = held.get(tenant);
      if (entry === undefined) {
        done("go");
        return () => {};
      }
      if (entry.waiting.size >= mostPerTenant || waiting >= mostInAll) {
        done("full");
        return () => {};
      }
      const { waiting: queue } = entry;
      const once = (verdict: HoldVerdict) => done(verdict);
      queue.add(once);
      waiting += 1;
      return () => {
        // After its end the queue is nobody's: what is deleted from it then counts no more.
        if (held.get(tenant)?.waiting === queue && queue.delete(once)) waiting -= 1;
      };
    },
    states: () =>
      [...held].map(([tenant, entry]) => ({
        tenant,
        moveId: entry.moveId,
        leftMs: Math.max(0, Math.round(entry.until - now())),
        waiting: entry.waiting.size,
      })),
  };
}
