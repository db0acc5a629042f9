import { groupOps, isAcknowledgedWrite, type Op } from "./history.ts";
import { checkRegister } from "./linearizable.ts";

/** A value as it stands in a database at the end. */
export interface Found {
  readonly tenant: string;
  readonly stamp: string;
  readonly key: string;
  readonly value: string;
}

export interface AtTheEnd {
  /** Where each tenant lives. */
  readonly homes: ReadonlyMap<string, string>;
  /** Every appended value and blob in every database. */
  readonly found: readonly Found[];
  readonly registers: readonly Found[];
}

export interface HistoryProblem {
  readonly what: "lost" | "doubled" | "elsewhere" | "not-refused" | "invented" | "two-owners" | "not-linearizable";
  readonly detail: string;
}

/** Everything that must hold of a history (I15–I18), against what all databases hold at its end. */
export function checkHistory(ops: readonly Op[], end: AtTheEnd): readonly HistoryProblem[] {
  return [...checkAppends(ops, end), ...checkOwners(ops), ...checkRegisters(ops, end)];
}

/** Every acknowledged value once at its tenant's home, none that was refused, an unknown one at most once. */
function checkAppends(ops: readonly Op[], { homes, found }: AtTheEnd): HistoryProblem[] {
  const problems: HistoryProblem[] = [];
  const times = new Map<string, number>();
  for (const row of found) {
    times.set(row.value, (times.get(row.value) ?? 0) + 1);
    if (homes.get(row.tenant) !== row.stamp) {
      problems.push({ what: "elsewhere", detail: `${row.value} of ${row.tenant} is in ${row.stamp}` });
    }
  }
  const appends = ops.filter(({ kind }) => kind === "append" || kind === "blob");
  const byValue = new Map(appends.map((op) => [op.value, op]));
  for (const op of appends) {
    const count = times.get(op.value) ?? 0;
    if (op.outcome === "ok" && count === 0) problems.push({ what: "lost", detail: describeOp(op) });
    if (op.outcome === "fail" && count > 0) problems.push({ what: "not-refused", detail: describeOp(op) });
    if (count > 1) problems.push({ what: "doubled", detail: `${count} times: ${describeOp(op)}` });
  }
  for (const row of found) {
    const op = byValue.get(row.value);
    if (op === undefined || op.tenant !== row.tenant || op.key !== row.key) {
      problems.push({ what: "invented", detail: `${row.value} in ${row.key} of ${row.tenant}` });
    }
  }
  return problems;
}

/** A write that was acknowledged under one epoch, and a later one under a lower epoch: both stamps took writes (I16). */
function checkOwners(ops: readonly Op[]): HistoryProblem[] {
  const problems: HistoryProblem[] = [];
  const tenants = groupOps(
    ops.filter((op) => isAcknowledgedWrite(op) && op.epoch !== undefined),
    ({ tenant }) => tenant,
  );
  for (const writes of tenants.values()) {
    const ended = [...writes].sort((a, b) => a.end - b.end);
    let next = 0;
    let highest: Op | undefined;
    for (const op of writes.toSorted((a, b) => a.start - b.start)) {
      for (let other = ended[next]; other !== undefined && other.end < op.start; other = ended[++next]) {
        if ((other.epoch ?? 0) > (highest?.epoch ?? 0)) highest = other;
      }
      if (highest !== undefined && (op.epoch ?? 0) < (highest.epoch ?? 0)) {
        problems.push({ what: "two-owners", detail: `${describeOp(op)} came after ${describeOp(highest)}` });
      }
    }
  }
  return problems;
}

function checkRegisters(ops: readonly Op[], { homes, registers }: AtTheEnd): HistoryProblem[] {
  const problems: HistoryProblem[] = [];
  const last = new Map<string, string>();
  for (const row of registers) {
    if (homes.get(row.tenant) === row.stamp) last.set(`${row.tenant}/${row.key}`, row.value);
    else problems.push({ what: "elsewhere", detail: `register ${row.key} of ${row.tenant} is in ${row.stamp}` });
  }
  const time = ops.reduce((latest, { end }) => Math.max(latest, end), 0);
  const mine = ops.filter(({ kind }) => kind === "cas" || kind === "read");
  for (const [name, group] of groupOps(mine, ({ tenant, key }) => `${tenant}/${key}`)) {
    const [first] = group;
    if (first === undefined) continue;
    const atEnd: Op = {
      ...{ client: "end", tenant: first.tenant, kind: "read", key: first.key, value: "", outcome: "ok" },
      ...{ observed: last.get(name) ?? null, start: time + 1, end: time + 2 },
    };
    const verdict = checkRegister([...group, atEnd]);
    if (verdict.isLinearizable) continue;
    const detail = `register ${name}: ${verdict.stuckAt?.map(describeOp).join("; ") ?? ""}`;
    problems.push({ what: "not-linearizable", detail });
  }
  return problems;
}

export function describeOp(op: Op): string {
  const what = op.kind === "cas" ? `${op.expected ?? "nothing"} -> ${op.value}` : op.value;
  const saw = op.observed === undefined ? "" : `, saw ${op.observed ?? "nothing"}`;
  const where = op.stamp === undefined ? "" : ` at ${op.stamp}, epoch ${op.epoch ?? "?"}`;
  return `${op.kind} ${op.key} ${what} by ${op.client} (${op.start.toFixed(1)}–${op.end.toFixed(1)}, ${op.outcome}${saw})${where}`;
}
