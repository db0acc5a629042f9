import type { FreezeListView, FreezeView } from "@stampyard/api";
import { table } from "../../output/table.ts";

export function freezeTable({ items }: FreezeListView): string {
  if (items.length === 0) return "Nothing is frozen, and the fleet file names no windows\n";
  return table(
    ["freeze", "now", "scope", "stops", "until", "by", "reason"],
    items.map((freeze) =>
      freeze.kind === "person"
        ? [freeze.id, true, scopeText(freeze.scope), stopsText(freeze), freeze.until, freeze.startedBy, freeze.reason]
        : [
            `window ${freeze.name}`,
            freeze.active,
            scopeText(freeze.scope),
            stopsText(freeze),
            freeze.until,
            "fleet.yaml",
            `${freeze.when} (${freeze.zone})`,
          ],
    ),
  );
}

/** `the whole fleet`, or `pool gold, region eu`. */
export function scopeText({ pools, regions, stamps }: FreezeView["scope"]): string {
  const parts = [
    ...(pools === undefined ? [] : [`pool ${pools.join(" or ")}`]),
    ...(regions === undefined ? [] : [`region ${regions.join(" or ")}`]),
    ...(stamps === undefined ? [] : [`stamp ${stamps.join(" or ")}`]),
  ];
  return parts.length === 0 ? "the whole fleet" : parts.join(", ");
}

export function stopsText({ stops }: Pick<FreezeView, "stops">): string {
  return stops.join(", ");
}
