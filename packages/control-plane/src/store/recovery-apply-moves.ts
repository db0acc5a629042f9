import { defaultMaxPauseMs, type Move } from "@stampyard/domain";
import { giveMovePlace, isBigThere, keepWayBack, releaseStamp, takeMovePlace } from "./move-places.ts";
import { insertMove, lockMove, tellMove, updateMove } from "./move-rows.ts";
import type { FoundMove, MoveFinding, RememberedMove } from "./recovery-moves.ts";
import type { Write } from "./write.ts";

/** Writes what was found of moves; their tenants are written already. */
export async function applyMoves(w: Write, findings: readonly MoveFinding[]): Promise<void> {
  // What has ended first: a tenant is in one move at a time.
  const ended = findings.filter((finding) => finding.kind === "ended");
  const others = findings.filter((finding) => finding.kind !== "ended");
  for (const finding of [...ended, ...others]) {
    switch (finding.kind) {
      case "landed":
        await land(w, finding.move);
        break;
      case "give-up":
        await changeMove(w, finding.move.id, (move) => ({ ...move, goal: "abort" }));
        break;
      case "ended":
        await end(w, finding);
        break;
      case "found":
        await register(w, finding.move);
        break;
    }
  }
}

/** Past the decision it goes on from where its target is opened, and each step looks at what is there. */
async function land(w: Write, { id, from, tenant }: RememberedMove): Promise<void> {
  const isBig = await isBigThere(w, id);
  const { rows } = await w.query<{ weight: Record<string, number>; big: boolean }>(
    "SELECT weight, big FROM tenants WHERE key = $1 FOR UPDATE",
    [tenant],
  );
  const [row] = rows;
  if (row === undefined) return;
  await w.query("UPDATE tenants SET big = $2 WHERE key = $1", [tenant, isBig]);
  await keepWayBack(w, { move: id, stamp: from, weight: row.weight, isBig: row.big });
  await changeMove(w, id, (move) => ({ ...move, state: { kind: "opening" } }));
}

async function end(w: Write, { move, as }: MoveFinding & { kind: "ended" }): Promise<void> {
  const cause = "the store was restored from before its end";
  await giveMovePlace(w, move.id);
  if (as === "done") await releaseStamp(w, move.from, move.tenant);
  await changeMove(w, move.id, (present) => ({
    ...present,
    state: as === "aborted" ? { kind: as, cause } : { kind: as },
  }));
}

async function changeMove(w: Write, id: string, change: (move: Move) => Move): Promise<void> {
  const { setback: _s, waitingOn: _w, ...move } = (await lockMove(w, id)).value;
  const changed = change(move);
  await updateMove(w, changed);
  tellMove(w, changed);
}

/** Room is not asked: its rows are there already. */
async function register(
  w: Write,
  { id, tenant, state, from, to, epoch, goal, restMs, returns }: FoundMove,
): Promise<void> {
  const move: Move = {
    id,
    tenant,
    from,
    to,
    epoch,
    mode: "capture",
    verify: "incremental",
    goal,
    state,
    maxPauseMs: defaultMaxPauseMs,
    restMs,
    ...(returns === undefined ? {} : { returns }),
    report: {},
  };
  const written = await insertMove(w, move);
  tellMove(w, written.value);
  const { rows } = await w.query<{ weight: Record<string, number> }>("SELECT weight FROM tenants WHERE key = $1", [
    tenant,
  ]);
  const weight = rows[0]?.weight ?? { tenants: 1 };
  if (state.kind === "opening") {
    await takeMovePlace(w, { move: id, stamp: to, weight, isBig: false, isClaimed: false });
  }
  if (state.kind === "disputed") await keepWayBack(w, { move: id, stamp: from, weight, isBig: false });
}
