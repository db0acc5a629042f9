import type { Clock } from "../ports.ts";
import type { IdPolicy } from "../template.ts";
import type { Move, MoverSight } from "./move.ts";
import type { MoveCheck, MoveCompared, MoveProgress } from "./report.ts";

/** What the template says of its database, as far as moves need it. */
export interface MoverPolicy {
  readonly tenantColumn: string;
  readonly ids: Readonly<Record<string, IdPolicy>>;
  /** Table without the tenant column to the tables on its foreign-key path to one that has it. */
  readonly via: Readonly<Record<string, readonly string[]>>;
  /** The same in every stamp, made by migrations: compared and never moved. */
  readonly reference: readonly string[];
  /** Belongs to no tenant and stays where it is. */
  readonly ignored: readonly string[];
}

export interface MoverRequest {
  readonly move: Move;
  readonly policy: MoverPolicy;
  /** Connection URLs of the mover's role: secrets, for connecting only. */
  readonly source: string;
  readonly target: string;
  readonly clock: Clock;
  /** What the source may be loaded with. @default no limit */
  readonly throttle?: { readonly bytesPerSecond?: number };
}

/** Connects to both databases; one that does not answer makes `look` say so and everything else fail. */
export type OpenMover = (request: MoverRequest) => Promise<Mover>;

export interface MoverCall {
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: MoveProgress) => void;
}

/**
 * How one tenant's rows travel, between two databases; one implementation for each mode, and all pass one contract suite.
 * Nothing is remembered between two calls but what is in the databases: every call may be repeated by another process
 * after a kill at any line (I27). Errors: STAMP_UNREACHABLE, TIMEOUT naming who is waited for, WRONG_PHASE when a row is
 * not as the call needs it, NOT_EQUAL.
 */
export interface Mover extends AsyncDisposable {
  /** Never throws for a database that does not answer. */
  look(): Promise<MoverSight>;
  /** Preflight; reads only. */
  check(call: MoverCall): Promise<MoveCheck>;
  /** Target: the tenant's row as `importing`, and no row of it; of a way back, the rows that are there stay. */
  admit(call: MoverCall): Promise<void>;
  /** Source: captured from now on; returns when every older writer has ended. */
  arm(call: MoverCall): Promise<void>;
  copy(call: MoverCall): Promise<{ readonly rows: number; readonly bytes: number }>;
  /** Brings captured changes until few are left, or for so long. */
  follow(call: MoverCall & { readonly atMostMs?: number }): Promise<Followed>;
  /** Compares everything once while changes go on, then what they touched, until few are left. @throws NOT_EQUAL */
  verify(call: MoverCall): Promise<MoveCompared>;
  /** Closes the source for at most the move's longest pause; after it no change can be made, and all are captured. */
  fence(call: MoverCall): Promise<void>;
  /**
   * Fenced: brings all that is left in one transaction, compares what the policy asks for, and makes the target ready.
   * @throws NOT_EQUAL, and the fence stays for `reopen`
   */
  settle(call: MoverCall): Promise<{ readonly rows: number; readonly compared?: MoveCompared }>;
  /** The point of no return. False = the fence was open already, and nothing was changed. */
  flip(call: MoverCall): Promise<boolean>;
  /** Target: active at the next epoch; captured for the way back when the move has one. Only after the decision. */
  open(call: MoverCall): Promise<void>;
  /** After the flip, of policy `after`; undefined = rows have changed since and nothing frozen is left to compare. */
  compare(call: MoverCall): Promise<MoveCompared | undefined>;
  /** Source: its closed copy goes, children first, and its row stays as `moved`. Target: captures no more. */
  erase(call: MoverCall): Promise<readonly { readonly table: string; readonly rows: number }[]>;
  /**
   * Source: fenced → armed, as before `fence`: open for writes, which are captured, and nothing is forgotten. Changes
   * nothing when the row is not fenced by this move. Without it a failed try of the switch ends in `reopen`.
   */
  unfence?(call: MoverCall): Promise<void>;
  /** Source: open again unless it has decided; captured keys go, but those of a way back stay. */
  reopen(call: MoverCall): Promise<void>;
  /** Target: rows and row go; of a way back, the row is `moved` again and the rows stay. */
  forget(call: MoverCall): Promise<void>;
}

export interface Followed {
  readonly changes: number;
  readonly rounds: number;
  /** Captured changes that the target lacks. */
  readonly lag: number;
}
