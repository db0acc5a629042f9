import { defaultRestMs, type MovePhase, type MoveState, movingPhases, wayBackOf } from "@stampyard/domain";
import type { Claim } from "./recovery-plan.ts";

/** A move as the restored store remembers it. */
export interface RememberedMove {
  readonly id: string;
  readonly tenant: string;
  readonly from: string;
  readonly to: string;
  readonly epoch: number;
  readonly phase: MovePhase;
}

/** What a recovery writes of moves. What is not found to be otherwise goes on as it is remembered. */
export type MoveFinding =
  /** Its source has decided, and its target has opened: the tenant lives there. */
  | { readonly kind: "landed"; readonly move: RememberedMove }
  /** Neither stamp knows of what this store was about to do: it is not begun again. */
  | { readonly kind: "give-up"; readonly move: RememberedMove }
  /** The tenant has gone on without it. */
  | { readonly kind: "ended"; readonly move: RememberedMove; readonly as: "done" | "aborted" | "returned" }
  /** One that this store does not know. */
  | { readonly kind: "found"; readonly move: FoundMove };

export interface FoundMove extends Omit<RememberedMove, "phase"> {
  readonly state: MoveState;
  readonly goal: "finish" | "abort";
  readonly restMs: number;
  readonly returns?: string;
}

/** Where a tenant lives by what was found. */
export interface FoundHome {
  readonly stamp: string;
  readonly epoch: number;
  /** Decided by its source, and not opened there: the target of this move. */
  readonly opening?: { readonly move: string; readonly from: string };
}

export interface MoveSights {
  /** Of this tenant. */
  readonly claims: readonly Claim[];
  /** Of this tenant, not ended. */
  readonly open: readonly RememberedMove[];
  /** Ids of all moves that the store remembers, ended ones too. */
  readonly known: ReadonlySet<string>;
  /** Whether this stamp was asked, and has answered. */
  readonly isRead: (stamp: string) => boolean;
}

export interface FoundMoves {
  readonly findings: readonly MoveFinding[];
  /** The move that the tenant is in. */
  readonly moving?: string;
}

const isMoving = (phase: MovePhase) => movingPhases.includes(phase);

/** What stamps say of a tenant's moves, against what the store remembers (decisions D9, D12). Reads nothing. */
export function findMoves(home: FoundHome, sights: MoveSights): FoundMoves {
  const findings: MoveFinding[] = [];
  let moving: string | undefined;
  for (const move of sights.open) {
    const finding = judge(move, home, sights);
    if (finding !== undefined) findings.push(finding);
    const goesOn = finding === undefined || finding.kind !== "ended";
    const isAtHome = home.opening !== undefined || home.epoch === move.epoch || finding?.kind === "landed";
    if (goesOn && isMoving(move.phase) && isAtHome) moving = move.id;
  }
  for (const move of unknownMoves(home, sights)) {
    findings.push({ kind: "found", move });
    if (move.state.kind === "opening") moving = move.id;
  }
  return { findings, ...(moving === undefined ? {} : { moving }) };
}

/** Undefined = it goes on as it is remembered. */
function judge(move: RememberedMove, home: FoundHome, sights: MoveSights): MoveFinding | undefined {
  const { stamp, epoch } = home;
  const isThere = stamp === move.to && epoch === move.epoch + 1;
  if (isThere && home.opening?.move === move.id) return undefined;
  if (isThere) {
    // Without its row there is nothing to go on from, and no copy that anybody could tell from another's.
    if (!hasDecided(move, sights)) return { kind: "ended", move, as: "done" };
    return isMoving(move.phase) ? { kind: "landed", move } : undefined;
  }
  if (!isMoving(move.phase)) {
    if (stamp === move.from && epoch === move.epoch) return undefined;
    const isBack = stamp === move.from && epoch === move.epoch + 2;
    return { kind: "ended", move, as: isBack ? "returned" : "done" };
  }
  if (stamp !== move.from) return { kind: "ended", move, as: epoch > move.epoch ? "done" : "aborted" };
  if (epoch !== move.epoch) {
    // By a person's word, or by other moves. What is still there of it is cleaned up, but nothing may open its target.
    if (isUnderWay(move, sights)) return { kind: "give-up", move };
    const isUndone = epoch === move.epoch + 1 || isDecidedBy(move.id, sights.claims);
    return { kind: "ended", move, as: isUndone ? "aborted" : "done" };
  }
  if (move.phase === "requested" || move.phase === "aborting") return undefined;
  const isSilent = sights.isRead(move.from) && sights.isRead(move.to) && !isUnderWay(move, sights);
  return isSilent ? { kind: "give-up", move } : undefined;
}

/** By its own row, or by that of the move that takes it back; a stamp that was not read may say so. */
function hasDecided({ id, from }: RememberedMove, { claims, isRead }: MoveSights): boolean {
  if (!isRead(from)) return true;
  const row = claims.find((claim) => claim.source === `stamp/${from}`);
  if (row?.state === "moved") return row.moveId === id;
  return row?.state === "importing" && row.moveId === wayBackOf(id);
}

/** A stamp knows of it, and none has decided. */
function isUnderWay({ id }: RememberedMove, { claims }: MoveSights): boolean {
  return claims.some((claim) => claim.moveId === id) && !isDecidedBy(id, claims);
}

function isDecidedBy(id: string, claims: readonly Claim[]): boolean {
  return claims.some((claim) => claim.state === "moved" && claim.moveId === id);
}

function unknownMoves(home: FoundHome, { claims, known }: MoveSights): readonly FoundMove[] {
  const found = new Map<string, FoundMove>();
  for (const claim of claims) {
    const { moveId } = claim;
    if (moveId === undefined || known.has(moveId) || found.has(moveId)) continue;
    const move = claim.state === "moved" ? decidedMove(claim, moveId, home, claims) : undefined;
    if (move !== undefined) found.set(moveId, { ...move, ...returnsOf(moveId, known) });
  }
  for (const claim of claims) {
    const { moveId } = claim;
    if (moveId === undefined || known.has(moveId) || found.has(moveId) || claim.state !== "importing") continue;
    // Who decides against a decided move leaves its target closed: a move in the books would open it.
    if (isDecidedBy(moveId, claims)) continue;
    // What was brought there is of no use to anybody, and what captures it must stop.
    const from = armedBy(moveId, claims)?.stamp ?? home.stamp;
    if (from === claim.stamp) continue;
    found.set(moveId, {
      id: moveId,
      tenant: claim.tenant,
      from,
      to: claim.stamp,
      epoch: Math.max(1, claim.epoch - 1),
      state: { kind: "aborting", cause: "the store was restored from before this move" },
      goal: "abort",
      restMs: 0,
      ...returnsOf(moveId, known),
    });
  }
  return [...found.values()];
}

/** Only the last one: of any before it the copy was erased before the next could begin. */
function decidedMove(
  { stamp: from, tenant, epoch, movedTo: to }: Claim,
  id: string,
  home: FoundHome,
  claims: readonly Claim[],
): FoundMove | undefined {
  if (to === undefined || to !== home.stamp || epoch !== home.epoch) return undefined;
  const move = { id, tenant, from, to, epoch: epoch - 1, goal: "finish" } as const;
  const isWatched = claims.some((claim) => claim.stamp === to && claim.isWatched === true);
  if (home.opening?.move === id) return { ...move, state: { kind: "opening" }, restMs: defaultRestMs };
  const cause = "the store was restored from before this move, and does not know whether its copies are equal";
  return { ...move, state: { kind: "disputed", cause }, restMs: isWatched ? defaultRestMs : 0 };
}

function armedBy(moveId: string, claims: readonly Claim[]): Claim | undefined {
  return claims.find((claim) => claim.moveId === moveId && (claim.state === "active" || claim.state === "fenced"));
}

function returnsOf(id: string, known: ReadonlySet<string>): { readonly returns?: string } {
  const suffix = wayBackOf("");
  const first = id.endsWith(suffix) ? id.slice(0, -suffix.length) : undefined;
  return first !== undefined && known.has(first) ? { returns: first } : {};
}
