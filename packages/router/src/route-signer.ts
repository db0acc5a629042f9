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

/** The last header that was signed for a name that falls here. */
interface Place {
  name: string;
  signing: Signing | undefined;
  epoch: number;
  minute: number;
  header: string;
}

/**
 * Places for headers that were signed. Few tenants make most requests and are found here; for the others signing costs
 * about as much as finding one of a hundred thousand kept headers, and leaves nothing to the garbage collector.
 */
const places = 4_096;

/** Signs for a tenant and a minute, and gives the same header to its next requests of that minute (decision D7). */
export function createRouteSigner(now: () => number): RouteSigner {
  const current = new Map<string, Signing>();
  const kept: readonly Place[] = Array.from({ length: places }, () => ({
    name: "",
    signing: undefined,
    epoch: 0,
    minute: 0,
    header: "",
  }));

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
      const minute = minuteOf(now());
      // No tenant is called like a stamp with a dash before it.
      const name = tenant ?? `-${stamp}`;
      const place = kept[placeOf(name)] as Place;
      // A key belongs to one stamp, so the same key also means the same stamp.
      if (place.minute === minute && place.signing === signing && place.epoch === epoch && place.name === name) {
        return place.header;
      }
      const header = signRoute({ tenant, stamp, epoch, minute }, signing.key, signing.mac);
      place.name = name;
      place.signing = signing;
      place.epoch = epoch;
      place.minute = minute;
      place.header = header;
      return header;
    },
  };
}

/** Spread a little; who shares a place only signs more often. */
function placeOf(name: string): number {
  let hash = 0;
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0;
  return (hash ^ (hash >>> 15)) & (places - 1);
}
