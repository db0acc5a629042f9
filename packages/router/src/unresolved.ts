export interface UnresolvedRow {
  readonly host: string;
  /** Path with what looks like an id replaced, at most four segments. */
  readonly path: string;
  readonly reason: "no-tenant" | "unknown-tenant";
  readonly count: number;
  /** Counts that may belong to rows this one replaced: the true count is between `count - mayBeLess` and `count`. */
  readonly mayBeLess: number;
  /** Wall time, milliseconds. */
  readonly lastAt: number;
}

export interface UnresolvedTable {
  count(host: string, path: string, reason: UnresolvedRow["reason"], nowMs: number): void;
  /** Most frequent first. */
  rows(): readonly UnresolvedRow[];
}

interface Row {
  readonly host: string;
  readonly path: string;
  readonly reason: UnresolvedRow["reason"];
  count: number;
  readonly mayBeLess: number;
  lastAt: number;
}

/**
 * What the fallback took because no tenant claimed it: the list to work off before its last day (D18). Bounded by the
 * space-saving rule: when it is full the rarest row makes room and hands on its count, so whatever is frequent stays.
 */
export function createUnresolvedTable(most = 512): UnresolvedTable {
  const rows = new Map<string, Row>();
  return {
    count(host, path, reason, nowMs) {
      const template = pathTemplate(path);
      const key = `${host} ${template} ${reason}`;
      const known = rows.get(key);
      if (known !== undefined) {
        known.count += 1;
        known.lastAt = nowMs;
        return;
      }
      const inherited = rows.size < most ? 0 : removeRarest(rows);
      rows.set(key, { host, path: template, reason, count: inherited + 1, mayBeLess: inherited, lastAt: nowMs });
    },
    rows: () => [...rows.values()].map((row) => ({ ...row })).sort((a, b) => b.count - a.count),
  };
}

function removeRarest(rows: Map<string, Row>): number {
  let rarest: string | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (const [key, { count }] of rows) {
    if (count >= least) continue;
    rarest = key;
    least = count;
  }
  if (rarest !== undefined) rows.delete(rarest);
  return least;
}

const deepest = 4;

/** `/orders/4711/items/9f86d081884c7d65` becomes `/orders/{n}/items/{id}`. */
export function pathTemplate(path: string): string {
  const segments = path.slice(0, 512).split("/").slice(1);
  const kept = segments.slice(0, deepest).map((segment) => {
    if (/^[0-9]+$/.test(segment)) return "{n}";
    if (/^(?=.*[0-9])[0-9a-fA-F-]{12,}$/.test(segment) || segment.length > 32) return "{id}";
    return segment;
  });
  return `/${kept.join("/")}${segments.length > deepest ? "/…" : ""}`;
}

/** The tables of several processes as one; most frequent first. */
export function mergeUnresolved(all: readonly UnresolvedRow[]): readonly UnresolvedRow[] {
  const merged = new Map<string, UnresolvedRow>();
  for (const row of all) {
    const key = `${row.host} ${row.path} ${row.reason}`;
    const known = merged.get(key) ?? { ...row, count: 0, mayBeLess: 0 };
    merged.set(key, {
      ...known,
      count: known.count + row.count,
      mayBeLess: known.mayBeLess + row.mayBeLess,
      lastAt: Math.max(known.lastAt, row.lastAt),
    });
  }
  return [...merged.values()].sort((left, right) => right.count - left.count);
}
