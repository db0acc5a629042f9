import type { FeedMessage } from "@stampyard/directory";
import { makeRouteKey, minuteOf, type RouteKey, signRoute } from "@stampyard/guard";
import { routeMac } from "./route-mac.ts";

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

/** A key to sign with. */
interface Signing {
  readonly key: RouteKey;
  readonly mac: (payload: string) => string;
}

/** What a tenant's requests were given last. */
interface Signed {
  signing: Signing;
  epoch: number;
  minute: number;
  header: string;
}

/** So many tenants are always kept. */
const leastKept = 4_096;

/**
 * Signs once per tenant and minute and gives the same header to all requests of that minute (decision D7). Entries are
 * used again minute after minute; all of them are dropped when most belong to tenants that nobody asks for any more, so
 * they never exceed three times the tenants that were asked for in one minute.
 */
export function createRouteSigner(now: () => number): RouteSigner {
  const current = new Map<string, Signing>();
  let kept = new Map<string, Signed>();
  let minute = 0;
  let askedThisMinute = 0;

  function beginMinute(next: number): void {
    if (kept.size > leastKept && kept.size > askedThisMinute * 2) kept = new Map();
    minute = next;
    askedThisMinute = 0;
  }

  return {
    setKeys(stamp, keys) {
      const [first] = keys;
      // The first is the one to sign with; the others are what the stamp still accepts.
      if (first === undefined) current.delete(stamp);
      else {
        const key = makeRouteKey(first.kid, first.secret);
        current.set(stamp, { key, mac: routeMac(key) });
      }
    },
    hasKey: (stamp) => current.has(stamp),
    sign({ tenant, stamp, epoch }) {
      const signing = current.get(stamp);
      if (signing === undefined) return undefined;
      const thisMinute = minuteOf(now());
      if (thisMinute !== minute) beginMinute(thisMinute);
      // No tenant is called like a stamp with a dash before it.
      const name = tenant ?? `-${stamp}`;
      const signed = kept.get(name);
      // A key belongs to one stamp, so the same key also means the same stamp.
      if (signed?.minute === minute && signed.signing === signing && signed.epoch === epoch) return signed.header;
      // Flat: it is written many times, and its pieces would be walked every time.
      const header = flat(signRoute({ tenant, stamp, epoch, minute }, signing.key, signing.mac));
      askedThisMinute += 1;
      if (signed === undefined) kept.set(name, { signing, epoch, minute, header });
      else {
        signed.signing = signing;
        signed.epoch = epoch;
        signed.minute = minute;
        signed.header = header;
      }
      return header;
    },
  };
}

/** The same text as one piece. */
function flat(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}
