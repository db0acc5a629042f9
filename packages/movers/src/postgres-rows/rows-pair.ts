import type { MoverCall } from "@stampyard/domain";
import type { MoveTable } from "./classify.ts";
import type { MoverDb } from "./connect.ts";
import type { MoveKey } from "./decision.ts";

/** Both sides of one tenant's move, and the tables of its plan, parents first. */
export interface RowsPair extends MoveKey {
  readonly source: MoverDb;
  readonly target: MoverDb;
  readonly tables: readonly MoveTable[];
}

export interface VerifyCall extends MoverCall {
  /** Brings captured changes over until few are left; to be called between ranges, outside of any transaction of ours. */
  readonly bring: () => Promise<void>;
  /** Rows of a range. @default 20000, less where rows are wide */
  readonly rangeRows?: number;
  /** Called after each range that was compared. */
  readonly onRange?: (done: { readonly table: string; readonly tablesDone: number; readonly rows: number }) => void;
}
