import type { MoveCreatedView, MoveProposalView } from "@stampyard/api";
import { estimateMove, quote, StampyardError } from "@stampyard/domain";
import type { MoveFilter, MoveInput } from "../../store/port.ts";
import type { Call, Handlers } from "../call.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { moveProposalView, moveView } from "../move-view.ts";
import { mapPage, storePage } from "../paging.ts";
import { revisionOf } from "./tenants.ts";

type Names = Extract<keyof Handlers, `move${string}`>;

/** As many of the last moves are looked at for an estimate. */
const lastMoves = 50;

export function moveHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, events } = deps;

  return {
    async moveCreate(call): Promise<MoveCreatedView> {
      const input = moveInput(call.body);
      if (call.query.dryRun) return { dryRun: true, proposal: await proposalOf(deps, input, call.signal) };
      const row = await store.moves.request(input, writeContext(deps, call, call.body.reason));
      return { dryRun: false, move: moveView(row) };
    },

    async moveList({ query }) {
      const page = await store.moves.list({ ...storePage(query), ...filterOf(query) });
      return mapPage(page, (row) => moveView(row, events.progressOf(row.value.id)));
    },

    async moveGet({ params: { id } }) {
      const row = await store.moves.read(id);
      if (row !== undefined) return moveView(row, events.progressOf(id));
      throw new StampyardError("NOT_FOUND", `No move ${quote(id)}`, { mend: "See stampyard move list." });
    },

    async moveAbort(call) {
      const ctx = writeContext(deps, call, call.body.reason);
      return moveView(await store.moves.abort(call.params.id, revisionOf(call.ifMatch), ctx));
    },

    async moveRollback(call) {
      const { maxPauseMs, restMs, reason } = call.body;
      const options = {
        ...(maxPauseMs === undefined ? {} : { maxPauseMs }),
        ...(restMs === undefined ? {} : { restMs }),
      };
      return moveView(await store.moves.rollback(call.params.id, options, writeContext(deps, call, reason)));
    },

    async moveFinish(call) {
      const { accept, reason } = call.body;
      const options = { accept, ...revisionOf(call.ifMatch) };
      return moveView(await store.moves.finish(call.params.id, options, writeContext(deps, call, reason)));
    },
  };
}

async function proposalOf(deps: ServerDeps, input: MoveInput, signal: AbortSignal): Promise<MoveProposalView> {
  const found = await (deps.checkMove ?? proposeOnly(deps))(input, signal);
  const { items } = await deps.store.moves.list({ limit: lastMoves });
  const estimate = estimateMove(
    found.check,
    items.map(({ value }) => value.report),
  );
  return moveProposalView(input.tenant, found, estimate);
}

/** Who goes where, without a look into the databases; it says so. */
function proposeOnly({ store }: ServerDeps): NonNullable<ServerDeps["checkMove"]> {
  return async (input) => {
    const proposed = await store.moves.propose(input);
    const unseen = {
      where: `tenant ${input.tenant}`,
      what: "its tables were not looked at",
      mend: "Ask the control plane that leads.",
    };
    return { ...proposed, check: { problems: [], warnings: [unseen], tables: [], rows: 0, bytes: 0 } };
  };
}

function moveInput(body: Call<"moveCreate">["body"]): MoveInput {
  const { tenant, to, toPool, mode, verify, maxPauseMs, restMs } = body;
  return {
    tenant,
    ...(to === undefined ? {} : { to }),
    ...(toPool === undefined ? {} : { toPool }),
    mode,
    verify,
    maxPauseMs,
    restMs,
  };
}

function filterOf({ tenant, stamp, phase, campaign, open }: Call<"moveList">["query"]): MoveFilter {
  return {
    ...(tenant === undefined ? {} : { tenant }),
    ...(stamp === undefined ? {} : { stamp }),
    ...(phase === undefined ? {} : { phase }),
    ...(campaign === undefined ? {} : { campaign }),
    ...(open ? { isOpen: true } : {}),
  };
}
