import type { Op } from "./history.ts";

/** What a register may do at one point of time: take a value where it holds another, or show what it holds. */
interface Step {
  readonly op: Op;
  readonly expects: string | null;
  readonly becomes: string | null;
  readonly call: number;
  /** Infinity while nobody knows whether it has happened. */
  readonly back: number;
}

export interface Verdict {
  readonly isLinearizable: boolean;
  /** The operations that no order explains, for people. */
  readonly stuckAt?: readonly Op[];
}

interface Entry {
  /** Absent: where the step ends. */
  readonly step?: number;
  readonly of: number;
  readonly at: number;
  before: Entry | undefined;
  after: Entry | undefined;
  match?: Entry;
}

/**
 * Whether there is an order of the operations of one register that explains every answer, and keeps each operation
 * between its call and its answer (Wing and Gong, with the memo of Lowe: a set of done operations together with a value
 * is tried once). An operation that failed is left out; one that is unknown may happen at any time after its call, or
 * never. The register is absent (null) at the start.
 */
export function checkRegister(ops: readonly Op[]): Verdict {
  const steps = stepsOf(ops);
  const head: Entry = { of: -1, at: -1, before: undefined, after: undefined };
  link(head, steps);
  let pending = steps.filter(({ back }) => back !== Number.POSITIVE_INFINITY).length;
  let done = 0n;
  let value: string | null = null;
  const seen = new Set<string>();
  const stack: { readonly entry: Entry; readonly value: string | null }[] = [];
  let deepest = 0n;
  let entry = head.after;
  while (pending > 0) {
    if (entry === undefined) return { isLinearizable: false, stuckAt: stuckAt(steps, deepest) };
    if (entry.step === undefined) {
      // An answer comes before anything that may still be tried: the order so far was wrong.
      const last = stack.pop();
      if (last === undefined) return { isLinearizable: false, stuckAt: stuckAt(steps, deepest) };
      unlift(last.entry);
      done &= ~(1n << BigInt(last.entry.of));
      if (isCertain(steps[last.entry.of])) pending += 1;
      value = last.value;
      entry = last.entry.after;
      continue;
    }
    const step = steps[entry.step];
    if (step !== undefined && step.expects === value) {
      const next = done | (1n << BigInt(entry.of));
      const state = `${next.toString(36)} ${step.becomes ?? ""}`;
      if (!seen.has(state)) {
        seen.add(state);
        stack.push({ entry, value });
        lift(entry);
        done = next;
        if (bits(done) > bits(deepest)) deepest = done;
        value = step.becomes;
        if (isCertain(step)) pending -= 1;
        entry = head.after;
        continue;
      }
    }
    entry = entry.after;
  }
  return { isLinearizable: true };
}

function isCertain(step: Step | undefined): boolean {
  return step !== undefined && step.back !== Number.POSITIVE_INFINITY;
}

/**
 * Values are unique, so an unknown write whose value nobody has seen or built upon can be left out: whatever came after
 * it would have had to find it. The last value of a register is read at the end of every history.
 */
function stepsOf(ops: readonly Op[]): readonly Step[] {
  const found = new Set(ops.flatMap((op) => [op.expected, op.observed ?? undefined]));
  const steps: Step[] = [];
  for (const op of ops) {
    if (op.outcome === "fail") continue;
    if (op.outcome === "unknown") {
      if (op.kind === "read" || !found.has(op.value)) continue;
      steps.push(stepOf(op, op.expected ?? null, op.value, Number.POSITIVE_INFINITY));
    } else if (op.observed !== undefined) steps.push(stepOf(op, op.observed, op.observed, op.end));
    else steps.push(stepOf(op, op.expected ?? null, op.value, op.end));
  }
  return steps.sort((a, b) => a.call - b.call);
}

function stepOf(op: Op, expects: string | null, becomes: string | null, back: number): Step {
  return { op, expects, becomes, call: op.start, back };
}

/** Calls and answers in the order of time; an unknown answer comes never. At one moment a call comes first. */
function link(head: Entry, steps: readonly Step[]): void {
  const entries: Entry[] = [];
  steps.forEach((step, of) => {
    const call: Entry = { step: of, of, at: step.call, before: undefined, after: undefined };
    entries.push(call);
    if (!isCertain(step)) return;
    const back: Entry = { of, at: step.back, before: undefined, after: undefined };
    call.match = back;
    entries.push(back);
  });
  entries.sort((a, b) => a.at - b.at || (a.step === undefined ? 1 : 0) - (b.step === undefined ? 1 : 0));
  let last = head;
  for (const entry of entries) {
    last.after = entry;
    entry.before = last;
    last = entry;
  }
}

function lift(entry: Entry): void {
  take(entry);
  if (entry.match !== undefined) take(entry.match);
}

function unlift(entry: Entry): void {
  if (entry.match !== undefined) put(entry.match);
  put(entry);
}

function take(entry: Entry): void {
  if (entry.before !== undefined) entry.before.after = entry.after;
  if (entry.after !== undefined) entry.after.before = entry.before;
}

function put(entry: Entry): void {
  if (entry.before !== undefined) entry.before.after = entry;
  if (entry.after !== undefined) entry.after.before = entry;
}

function bits(set: bigint): number {
  return set.toString(2).replaceAll("0", "").length;
}

function stuckAt(steps: readonly Step[], done: bigint): readonly Op[] {
  return steps
    .filter((_, of) => (done & (1n << BigInt(of))) === 0n)
    .slice(0, 6)
    .map(({ op }) => op);
}
