import type { CallAnswer, PlanView } from "@stampyard/api";
import {
  type Digest,
  type EngineKind,
  type FleetPlan,
  type Problem,
  publishedRouting,
  quote,
  type Stamp,
  StampyardError,
  type Template,
} from "@stampyard/domain";
import { parseFleet, parseTemplate, releaseDigest } from "@stampyard/manifest";
import { readFreezes } from "../../freezes/freezes.ts";
import { thawedFleetPlan } from "../../freezes/frozen-plan.ts";
import { planApply, releaseInput } from "../../rollouts/apply-by-rollout.ts";
import type { FleetRecord, Revisioned } from "../../store/port.ts";
import type { Handlers } from "../call.ts";
import { affectedBy } from "../affected.ts";
import { type ServerDeps, writeContext } from "../deps.ts";
import { mapPage, storePage } from "../paging.ts";
import { costOfPlan } from "../plan-cost.ts";
import { type FleetFiles, type FleetNow, planOf } from "../stamp-goal.ts";
import { poolView, releaseView } from "../views.ts";

type Names = "plan" | "apply" | "fleetGet" | "releaseList" | "releaseGet";

interface Manifests {
  readonly fleetYaml: string;
  readonly fleetFile: string;
  readonly templateYaml: string;
  readonly templateFile: string;
}

export function fleetHandlers(deps: ServerDeps): Pick<Handlers, Names> {
  const { store, sha256 } = deps;

  async function readNow() {
    const [row, rows, reservedNames] = await Promise.all([
      store.fleet.read(),
      store.stamps.all(),
      store.stamps.reservedNames(),
    ]);
    return { row, now: { fleet: row?.value, stamps: rows.map(({ value }) => value), reservedNames } };
  }

  /** A fleet that is not there yet has nothing that a freeze could be about. */
  async function planNow(now: FleetNow, files: FleetFiles): Promise<FleetPlan> {
    const plan = planOf(now, files, sha256);
    return now.fleet === undefined ? plan : thawedFleetPlan(await readFreezes(store), plan, deps.clock.now());
  }

  return {
    async plan({ body }) {
      const read = readFiles(body, deps.engine.kind);
      const files = withContent(read, await deps.contents?.digest(read.template, body.sourceDir));
      const { row, now } = await readNow();
      requireSameFleet(row, files);
      const plan = await planNow(now, files);
      return await planViewOf(deps, files, plan, row, now.stamps);
    },

    async apply(call) {
      const { body } = call;
      const read = readFiles(body, deps.engine.kind);
      const ctx = writeContext(deps, call);
      const { row, now } = await readNow();
      requireSameFleet(row, read);
      const revision = row?.revision ?? 0;
      for (const expected of [body.expectedFleetRevision, call.ifMatch]) {
        if (expected !== undefined && expected !== revision) throw stale(expected, revision);
      }
      // On disk before anybody is told to run from it; also where the same release was kept once and is lost.
      const files = withContent(read, await deps.contents?.keep(read.template, body.sourceDir));
      const plan = await planNow(now, files);
      const view = await planViewOf(deps, files, plan, row, now.stamps);
      const planned = await planApply(deps, now, files, plan, releaseInput(files, body, sha256));
      const answer = (fleetRevision: number, rollout: string | undefined) => ({
        plan: view,
        fleetRevision,
        releaseDigest: view.releaseDigest,
        ...(rollout === undefined ? {} : { rollout }),
      });
      // The same files again leave no trace but this answer.
      if (planned.kind === "nothing") return answer(revision, planned.rollout);
      const applied = await store.fleet.apply({ ...planned.input, expectedRevision: revision }, ctx);
      return answer(applied.revision, applied.rollout?.value.id ?? planned.rollout);
    },

    async fleetGet() {
      const row = await requireFleet(store);
      return fleetView(row);
    },

    async releaseList({ query }) {
      const [page, { row, now }] = await Promise.all([store.fleet.releases(storePage(query)), readNow()]);
      return mapPage(page, (release) => releaseView(release, row?.value.release, now.stamps, deps.contents?.has));
    },

    async releaseGet({ params }) {
      const [release, { row, now }] = await Promise.all([store.fleet.release(params.digest), readNow()]);
      if (release === undefined) {
        throw new StampyardError("RELEASE_NOT_FOUND", `No release ${params.digest}`, { mend: "See GET /v1/releases." });
      }
      return releaseView(release, row?.value.release, now.stamps, deps.contents?.has);
    },
  };
}

/** @throws StampyardError NOT_FOUND before the first apply */
export async function requireFleet(store: ServerDeps["store"]): Promise<Revisioned<FleetRecord>> {
  const row = await store.fleet.read();
  if (row !== undefined) return row;
  throw new StampyardError("NOT_FOUND", "No fleet is applied yet", {
    mend: "Apply a fleet.yaml first (stampyard apply).",
  });
}

/** The schema knows engines that this control plane does not run. @throws StampyardError INVALID_MANIFEST */
function requireEngine(template: Template, engine: EngineKind): void {
  const foreign = template.stages.find((stage) => stage.engine !== engine);
  if (foreign === undefined) return;
  throw new StampyardError(
    "INVALID_MANIFEST",
    `Stage ${foreign.name} wants engine ${foreign.engine}, and this control plane runs ${engine} stages only`,
    { mend: `Write engine: ${engine} at stage ${foreign.name}.` },
  );
}

/** Reads both files and reports the faults of both at once. @throws StampyardError INVALID_MANIFEST */
function readFiles(body: Manifests, engine: EngineKind): Omit<FleetFiles, "content"> {
  const template = parseTemplate(body.templateYaml, { file: body.templateFile });
  const fleet = parseFleet(body.fleetYaml, {
    file: body.fleetFile,
    ...(template.ok ? { template: template.template } : {}),
  });
  if (template.ok && fleet.ok) {
    requireEngine(template.template, engine);
    return { fleet: fleet.fleet, template: template.template };
  }
  const problems: Problem[] = [...(fleet.ok ? [] : fleet.problems), ...(template.ok ? [] : template.problems)];
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  throw new StampyardError("INVALID_MANIFEST", `The files have ${count}`, {
    problems,
    mend: "Mend each place that is named.",
  });
}

function withContent(files: Omit<FleetFiles, "content">, content: Digest | undefined): FleetFiles {
  return content === undefined ? files : { ...files, content };
}

/** One control plane keeps one fleet (D1): another name is a wrong file or a wrong address, never a rename. */
function requireSameFleet(row: Revisioned<FleetRecord> | undefined, files: Pick<FleetFiles, "fleet">): void {
  const kept = row?.value.fleet.name;
  if (kept === undefined || kept === files.fleet.name) return;
  throw new StampyardError("ALREADY_EXISTS", `This control plane keeps fleet ${kept}, not ${quote(files.fleet.name)}`, {
    mend: `Use the control plane of ${quote(files.fleet.name)}, or the name ${kept} in the file.`,
  });
}

function stale(expected: number, present: number): StampyardError {
  return new StampyardError("STALE_REVISION", `The fleet is at revision ${present}, not ${expected}`, {
    mend: "Plan again and look at the difference before applying it.",
  });
}

/** The plan, with what it costs and whom it reaches. */
async function planViewOf(
  { sha256, store }: Pick<ServerDeps, "sha256" | "store">,
  files: FleetFiles,
  plan: FleetPlan,
  row: Revisioned<FleetRecord> | undefined,
  stamps: readonly Stamp[],
): Promise<PlanView> {
  const [cost, counts] = await Promise.all([costOfPlan(store, stamps, files, plan), store.tenants.countHomes()]);
  return {
    fleet: files.fleet.name,
    ...affectedBy(plan.changes, stamps, counts),
    notes: [...plan.notes],
    releaseDigest: releaseDigest(files.template, sha256, files.content),
    fleetRevision: row?.revision ?? 0,
    ...cost,
  };
}

function fleetView(row: Revisioned<FleetRecord>): CallAnswer<"fleetGet"> {
  const { fleet, release } = row.value;
  return {
    name: fleet.name,
    template: fleet.template,
    pools: fleet.pools.map((pool) => poolView(pool, undefined)),
    // The type of an answer has writable lists; nothing here is written to.
    routing: publishedRouting(fleet) as CallAnswer<"fleetGet">["routing"],
    releaseDigest: release,
    revision: row.revision,
  };
}
