import type { FeedMessage } from "@stampyard/directory";
import { makeRouteKey, minuteOf, type RouteKey, signRoute } from "@stampyard/guard";

export type StampKeys = Extract<FeedMessage, { kind: "keys" }>["keys"];

export interface RouteSigner {
  setKeys(stamp: string, keys: StampKeys): void;
  hasKey(stamp: string): boolean;
  /** The header for one request, or undefined while the stamp's key is not known. */
  sign(route: {
    /** undefined = of no tenant. */
    readonly tenant: string | undefined;
    readonly stamp: string;
    readonly epoch: number;
  }): string | undefined;
}

interface Signed {
  readonly key: RouteKey;
  readonly epoch: number;
  readonly header: string;
}

/**
 * Signs once per tenant and minute and gives the same header to all requests of that minute (decision D7). What is kept
 * is dropped as a whole when the minute ends, so it never exceeds the tenants that were asked for in one minute.
 */
export function createRouteSigner(now: () => number): RouteSigner {
  const current = new Map<string, RouteKey>();
  let minute = 0;
  let signed = new Map<string, Signed>();

  return {
    setKeys(stamp, keys) {
      const [first] = keys;
      // The first is the one to sign with; the others are what the stamp still accepts.
      if (first === undefined) current.delete(stamp);
      else current.set(stamp, makeRouteKey(first.kid, first.secret));
    },
    hasKey: (stamp) => current.has(stamp),
    sign({ tenant, stamp, epoch }) {
      const key = current.get(stamp);
      if (key === undefined) return undefined;
      const thisMinute = minuteOf(now());
      if (thisMinute !== minute) {
        minute = thisMinute;
        signed = new Map();
      }
      // No tenant is called like a stamp with a dash before it.
      const name = tenant ?? `-${stamp}`;
      const kept = signed.get(name);
      // A key belongs to one stamp, so the same key also means the same stamp.
      if (kept !== undefined && kept.key === key && kept.epoch === epoch) return kept.header;
      const header = signRoute({ tenant, stamp, epoch, minute }, key);
      signed.set(name, { key, epoch, header });
      return header;
    },
  };
}
