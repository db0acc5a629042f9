import type { FeedPosition } from "@stampyard/directory";

/**
 * Which published positions all listening workers have applied. A version may be acknowledged only then (D8): after
 * that, nobody is served by an older table.
 */
export interface Publications {
  /** Numbers the next thing that is sent to the workers. */
  next(position: FeedPosition): number;
  readonly last: () => number;
  /** From now on this worker counts, and has all that was published until now, or will have it before it listens. */
  join(worker: object): void;
  applied(worker: object, seq: number): void;
  leave(worker: object): void;
  /** The newest position not newer than `durable` that all have; undefined if there is none. */
  acknowledgeable(durable: FeedPosition): FeedPosition | undefined;
}

export function createPublications(): Publications {
  const appliedBy = new Map<object, number>();
  /** Not applied by all; the oldest first. Bounded: a worker that does not keep up is killed for its silence. */
  let pending: { readonly seq: number; readonly position: FeedPosition }[] = [];
  let all: FeedPosition | undefined;
  let last = 0;

  function settle(): void {
    const least = Math.min(last, ...appliedBy.values());
    const open = pending.findIndex(({ seq }) => seq > least);
    const done = open < 0 ? pending.length : open;
    if (done === 0) return;
    all = pending[done - 1]?.position;
    pending = pending.slice(done);
  }

  return {
    next(position) {
      last += 1;
      pending.push({ seq: last, position });
      if (appliedBy.size === 0) settle();
      return last;
    },
    last: () => last,
    join(worker) {
      appliedBy.set(worker, last);
    },
    applied(worker, seq) {
      // One that does not listen yet has no say.
      if (!appliedBy.has(worker)) return;
      appliedBy.set(worker, Math.max(seq, appliedBy.get(worker) ?? 0));
      settle();
    },
    leave(worker) {
      appliedBy.delete(worker);
      settle();
    },
    acknowledgeable: (durable) => (pending.length === 0 || !isAfter(durable, all) ? durable : all),
  };
}

/** A position of a later incarnation is later whatever its version (D9). */
function isAfter(left: FeedPosition, right: FeedPosition | undefined): boolean {
  if (right === undefined) return true;
  return left.incarnation !== right.incarnation ? left.incarnation > right.incarnation : left.version > right.version;
}
