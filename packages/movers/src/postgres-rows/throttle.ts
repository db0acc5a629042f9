import type { Clock } from "@stampyard/domain";
import type { SqlClient } from "./sql.ts";

export interface Throttle {
  /** Waits until so many more bytes may be read. Says why it waits, or nothing when it did not. */
  spend(bytes: number, signal: AbortSignal): Promise<string | undefined>;
}

export interface ThrottleOptions {
  readonly clock: Clock;
  /** @default no limit */
  readonly bytesPerSecond?: number;
  /** Clients of the source that wait, beyond which the mover stands back. */
  readonly waiting: () => Promise<SourceLoad>;
}

export interface SourceLoad {
  /** Other clients with a statement under way. */
  readonly active: number;
  /** Those of them that wait for a lock, a disk or a latch. */
  readonly waiting: number;
}

/** How often the source is asked, and how long the mover stands back at most for one range. */
const sampleMs = 1_000;
const mostBackOffMs = 2_000;
/** Fewer waiters than this are nobody's sign of trouble. */
const fewWaiters = 8;

/**
 * Keeps a move below a rate, and behind the source's own clients: while most of those that are busy wait, each range is
 * followed by a pause, which doubles as long as they do.
 */
export function createThrottle({ clock, bytesPerSecond, waiting }: ThrottleOptions): Throttle {
  let freeAt = clock.now();
  let sampledAt = -Infinity;
  let backOffMs = 0;
  return {
    async spend(bytes, signal) {
      const now = clock.now();
      if (now - sampledAt >= sampleMs) {
        sampledAt = now;
        const load = await waiting();
        const isBusy = load.waiting > fewWaiters && load.waiting * 2 > load.active;
        backOffMs = isBusy ? Math.min(mostBackOffMs, Math.max(100, backOffMs * 2)) : 0;
      }
      if (bytesPerSecond !== undefined) freeAt = Math.max(freeAt, now) + (bytes * 1_000) / bytesPerSecond;
      const owedMs = bytesPerSecond === undefined ? 0 : freeAt - now;
      const ms = Math.max(owedMs, backOffMs);
      if (ms <= 0) return undefined;
      await clock.sleep(ms, signal);
      return backOffMs >= owedMs
        ? "clients of the source, which wait"
        : `the limit of ${bytesPerSecond} bytes a second`;
    },
  };
}

/** What the source's other clients do now; of a server that does not say, nothing. */
export async function loadOf(db: SqlClient): Promise<SourceLoad> {
  const { rows } = await db.query(
    `select count(*)::int as active, count(*) filter (where wait_event_type in ('Lock', 'LWLock', 'IO'))::int as waiting
     from pg_stat_activity where state = 'active' and backend_type = 'client backend'
       and application_name not like 'stampyard move %'`,
  );
  return { active: Number(rows[0]?.["active"] ?? 0), waiting: Number(rows[0]?.["waiting"] ?? 0) };
}
