import type { FreezeView, FreezeWindowView } from "@stampyard/api";
import type { Freeze, FreezeScope, FreezeWindow } from "@stampyard/domain";
import { time } from "./views.ts";

export function freezeView({ id, scope, stops, reason, by, since, until }: Freeze): FreezeView {
  return {
    kind: "person",
    id,
    scope: scopeView(scope),
    stops: [...stops],
    reason,
    startedBy: by,
    since: time(since),
    ...(until === undefined ? {} : { until: time(until) }),
  };
}

/** `frozen` = what it stops now, and until when; absent = nothing. */
export function windowView(window: FreezeWindow, frozen: { readonly until?: number } | undefined): FreezeWindowView {
  return {
    kind: "window",
    name: window.name,
    scope: scopeView(window.scope),
    stops: [...window.stops],
    zone: window.zone,
    when: whenText(window),
    active: frozen !== undefined,
    ...(frozen?.until === undefined ? {} : { until: time(frozen.until) }),
  };
}

function scopeView({ pools, regions, stamps }: FreezeScope): FreezeView["scope"] {
  return {
    ...(pools === undefined ? {} : { pools: [...pools] }),
    ...(regions === undefined ? {} : { regions: [...regions] }),
    ...(stamps === undefined ? {} : { stamps: [...stamps] }),
  };
}

const days = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

function whenText(window: FreezeWindow): string {
  if (window.kind === "dates") return `${window.from} to ${window.to}`;
  const { from, to } = window;
  return `every ${days[from.day]} ${clockText(from.minute)} to ${days[to.day]} ${clockText(to.minute)}`;
}

function clockText(minute: number): string {
  const two = (value: number) => String(value).padStart(2, "0");
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}
