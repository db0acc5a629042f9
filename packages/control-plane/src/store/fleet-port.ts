import type { Digest, Fleet, Rollout, Routing, RoutingRules, Stamp } from "@stampyard/domain";
import type { StampCreate } from "./port.ts";
import type {
  FleetRecord,
  Page,
  PageOptions,
  PoolUse,
  Release,
  ReleaseInput,
  Revisioned,
  WriteContext,
} from "./records.ts";
import type { RolloutInput } from "./rollout-port.ts";

export interface ApplyFleetInput {
  readonly fleet: Fleet;
  readonly release: ReleaseInput;
  /** New stamps, in state `requested`, with their secrets (plain here, sealed at rest). */
  readonly stampCreates: readonly StampCreate[];
  /** Only what a release decides: release digest, stamp digest, parameters, capacity. */
  readonly stampUpdates: readonly {
    readonly name: string;
    readonly releaseDigest: Digest;
    readonly stampDigest: Digest;
    readonly parameters: Stamp["parameters"];
    readonly capacity: Stamp["capacity"];
    /** Secrets of components that the release adds; existing names keep their value. */
    readonly secrets?: Readonly<Record<string, string>>;
  }[];
  /** Revision that the plan was made from; 0 = no fleet yet. */
  readonly expectedRevision: number;
  /**
   * What is to reach the stamps that there are by a rollout only. `fleet` above is then what is in force until it is
   * done, the fleet's release stays what it was, and nothing of `release` applies but that it is kept. The rollout is
   * recorded in the same transaction.
   */
  readonly byRollout?: {
    /** As the file wants it. */
    readonly fleet: Fleet;
    readonly rollout: Omit<RolloutInput, "fleetRevision">;
  };
}

export interface AppliedFleet extends Revisioned<FleetRecord> {
  /** The one that `byRollout` started. */
  readonly rollout?: Revisioned<Rollout>;
}

/** A fleet as it is wanted, before a rollout has made it true. */
export interface FleetGoal extends FleetRecord {
  /** The fleet's revision at which it was asked for; `Rollout.fleetRevision` names it. */
  readonly revision: number;
}

export interface FleetStore {
  read(): Promise<Revisioned<FleetRecord> | undefined>;
  /**
   * Release, fleet, new and changed stamps and the routing entry, in one transaction (I26: the intent; reconcilers do
   * the work). @throws StampyardError STALE_REVISION, ALREADY_EXISTS; what `rollouts.start` throws
   */
  apply(input: ApplyFleetInput, ctx: WriteContext): Promise<AppliedFleet>;
  /** Records a release that nothing is to run yet. Repeating it changes nothing. */
  keepRelease(release: ReleaseInput, ctx: WriteContext): Promise<void>;
  goal(revision: number): Promise<FleetGoal | undefined>;
  /** Of rollouts that have not ended, newest first: what the file that was applied last wants is the first of them. */
  goals(): Promise<readonly FleetGoal[]>;
  release(digest: Digest): Promise<Release | undefined>;
  /** Newest first. */
  releases(page?: PageOptions): Promise<Page<Release>>;
  pools(): Promise<readonly PoolUse[]>;
  /** Routing rules that are kept, by digest. */
  rules(digests: readonly Digest[]): Promise<ReadonlyMap<Digest, RoutingRules>>;
  /** Routing as routers are to have it, with what holds for some stamps only. undefined before the first apply. */
  routing(): Promise<Routing | undefined>;
}
