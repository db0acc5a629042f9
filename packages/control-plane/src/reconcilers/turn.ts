import type {
  Clock,
  DatabaseCount,
  FencingToken,
  Instant,
  Random,
  Stamp,
  StampEngine,
  StampSpec,
} from "@stampyard/domain";
import type { FenceKeeping } from "../fence/keep-fence.ts";
import type { EventBus } from "../server/events.ts";
import type { Store, WriteContext } from "../store/port.ts";

/** What one turn of a reconciler works with. */
export interface ReconcileDeps extends FenceKeeping {
  readonly store: Store;
  readonly engine: StampEngine;
  /** Renders the stamp again from its release and opens its secrets; for engine calls only. */
  readonly specOf: (stamp: Stamp) => Promise<StampSpec>;
  readonly homes: TenantHomes;
  readonly hooks: TenantHooks;
  readonly clock: Clock;
  readonly random: Random;
  readonly events: Pick<EventBus, "publish">;
  readonly log: Log;
  /** Applies and destroys at a time, over all stamps: they are heavy, and everything else goes on beside them. */
  readonly heavy: Gate;
  readonly drift: DriftMemory;
}

/**
 * When a stamp was last compared with its spec, part by part. In memory: forgetting it costs one comparison.
 * `cause` = bringing it in line failed; `report` = it differs, and its pool only reports that.
 */
export type DriftMemory = Map<
  string,
  { readonly keys: string; readonly at: Instant; readonly cause?: string; readonly report?: string }
>;

/** The `stampyard.tenant_home` tables of stamps. Every call is idempotent. */
export interface TenantHomes {
  /** @throws StampyardError WRONG_PHASE when the stamp knows the tenant under a higher epoch, or fenced or moved */
  open(spec: StampSpec, tenant: string, epoch: number, signal: AbortSignal): Promise<void>;
  /** The guard refuses it from now on; its data and its epoch stay. @throws StampyardError WRONG_PHASE as `open` */
  suspend(spec: StampSpec, tenant: string, epoch: number, signal: AbortSignal): Promise<void>;
  /** Closes it for requests that are still on their way; the row stays. */
  close(spec: StampSpec, tenant: string, epoch: number, signal: AbortSignal): Promise<void>;
  forget(spec: StampSpec, tenant: string, epoch: number, signal: AbortSignal): Promise<void>;
  list(spec: StampSpec, signal: AbortSignal): Promise<readonly TenantHomeRow[]>;
  /** The tenant's rows in every table that has this column, in every database of the stamp that can be asked. */
  count(spec: StampSpec, tenant: string, column: string, signal: AbortSignal): Promise<readonly DatabaseCount[]>;
}

export interface TenantHomeRow {
  readonly tenant: string;
  readonly state: string;
  readonly epoch: number;
  /** The move that has it, or that would take it back. */
  readonly moveId?: string;
  /** Of `moved`: the stamp. */
  readonly movedTo?: string;
  /** Captured for a way back. */
  readonly isWatched?: boolean;
}

export interface HookCall {
  readonly hook: TenantHookName;
  readonly stamp: Stamp;
  readonly spec: StampSpec;
  readonly tenant: string;
  readonly epoch: number;
  /** Beside tenant, stamp and epoch; of a job, as JSON in `STAMPYARD_HOOK_INPUT`. */
  readonly input?: Readonly<Record<string, unknown>>;
  /** Less than the hook's own timeout, where the caller has less time. Milliseconds. */
  readonly withinMs?: number;
}

export type TenantHookName =
  | "tenant.onCreate"
  | "tenant.onDelete"
  | "tenant.onDrain"
  | "tenant.onExport"
  | "tenant.onImport"
  | "tenant.onRebuild";

export interface TenantHooks {
  /**
   * Does nothing when the template declares no such hook.
   * @returns what an HTTP hook answered, at most 64 KiB; empty of a job; undefined without a hook
   * @throws StampyardError HOOK_FAILED
   */
  call(call: HookCall, turn: Turn): Promise<string | undefined>;
}

export interface Log {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Whose authority a turn has, and until when. */
export interface Turn {
  readonly token: FencingToken;
  /** Aborted when the lease is lost or the process stops. */
  readonly signal: AbortSignal;
}

/** When the next turn of the same object is worth it, as far as this one knows. */
export type TurnEnd =
  | { readonly kind: "again" }
  /** Until somebody changes something, or that time. */
  | { readonly kind: "rest"; readonly until?: Instant };

export const again: TurnEnd = { kind: "again" };
export const rest: TurnEnd = { kind: "rest" };

export function writeContext(turn: Turn, reason?: string): WriteContext {
  return {
    actor: "reconciler",
    token: turn.token,
    ...(reason === undefined ? {} : { reason: reason.slice(0, 1_000) }),
  };
}

/**
 * Lets so many at a time through, first come, first served. What is urgent passes while not twice as many are inside: a
 * stamp that serves tenants, and goes back to what it ran, does not wait for others that are being built.
 */
export interface Gate {
  pass<T>(signal: AbortSignal, work: () => Promise<T>, isUrgent?: boolean): Promise<T>;
}

export function createGate(width: number): Gate {
  let inside = 0;
  const waiting = new Set<() => void>();
  const wakeAll = () => {
    for (const wake of waiting) wake();
  };
  return {
    async pass(signal, work, isUrgent = false) {
      while (inside >= (isUrgent ? 2 * width : width)) {
        signal.throwIfAborted();
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            signal.removeEventListener("abort", wake);
            resolve();
          };
          waiting.add(wake);
          signal.addEventListener("abort", wake);
        });
      }
      signal.throwIfAborted();
      inside += 1;
      try {
        return await work();
      } finally {
        inside -= 1;
        // All of them look again: one that was aborted meanwhile must not swallow the only call.
        wakeAll();
      }
    },
  };
}
