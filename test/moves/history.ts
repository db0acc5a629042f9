/** One operation of one client, as it was seen from outside. Times are monotonic milliseconds of this machine. */
export interface Op {
  readonly client: string;
  readonly tenant: string;
  readonly kind: "append" | "blob" | "cas" | "read";
  /** List or register. */
  readonly key: string;
  /** What it writes; unique over the whole history. */
  readonly value: string;
  /** Of a compare-and-set; absent = the register must not be there yet. */
  readonly expected?: string;
  /** What a register held: of a read, and of a compare-and-set that did not meet what it expected. */
  readonly observed?: string | null;
  readonly start: number;
  readonly end: number;
  /** `fail` = nothing of it is there, and nothing will be; `unknown` = nobody answered, or nobody knows. */
  readonly outcome: "ok" | "fail" | "unknown";
  readonly stamp?: string;
  /** Of the route by which it came. */
  readonly epoch?: number;
  /** Why it failed. */
  readonly code?: string;
}

export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** A write that was acknowledged: it must be there at the end, once, and nowhere else. */
export function isAcknowledgedWrite(op: Op): boolean {
  return op.outcome === "ok" && op.kind !== "read" && !(op.kind === "cas" && op.observed !== undefined);
}

export function groupOps(ops: readonly Op[], by: (op: Op) => string): ReadonlyMap<string, readonly Op[]> {
  const groups = new Map<string, Op[]>();
  for (const op of ops) {
    const name = by(op);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [op]);
    else group.push(op);
  }
  return groups;
}
