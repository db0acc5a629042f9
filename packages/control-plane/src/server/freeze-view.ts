import type { FreezeView, FreezeWindowView } from "@stampyard/api";
import { endOfWindow, type Freeze, type FreezeScope, type Freezes, type FreezeWindow } from "@stampyard/domain";
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

export function windowView(window: FreezeWindow, now: number): FreezeWindowView {
  const until = endOfWindow(window, now);
  return {
    kind: "window",
    name: window.name,
    scope: scopeView(window.scope),
    stops: [...window.stops],
    zone: window.zone,
    when: whenText(window),
    active: until !== undefined,
    ...(until === undefined ? {} : { until: time(until) }),
  };
}

function scopeView({ pools, regions, stamps }: FreezeScope): FreezeView["scope"] {
  return {
    ...(pools === undefined ? {} : { pools: [...pools] }),
    ...(regions === undefined ? {} : { regions: [...regions] }),
    ...(stamps === undefined ? {} : { stamps: [...stamps] }),
  };
}

/** Of what is in force now, for who looks at the fleet at a glance. */
export function frozenTexts({ freezes, windows }: Freezes, now: number): string[] {
  const said = freezes.map(({ id, by, reason, stops, scope, until }) => {
    return `${stops.join(", ")} of ${scopeText(scope)}${endText(until)}: ${reason} (${id}, by ${by})`;
  });
  const timed = windows.flatMap((window) => {
    const until = endOfWindow(window, now);
    if (until === undefined) return [];
    return [`${window.stops.join(", ")} of ${scopeText(window.scope)}${endText(until)}: window ${window.name}`];
  });
  return [...said, ...timed];
}

function scopeText({ pools, regions, stamps }: FreezeScope): string {
  const parts = [
    ...(pools === undefined ? [] : [`pool ${pools.join(" or ")}`]),
    ...(regions === undefined ? [] : [`region ${regions.join(" or ")}`]),
    ...(stamps === undefined ? [] : [`stamp ${stamps.join(" or ")}`]),
  ];
  return parts.length === 0 ? "the whole fleet" : parts.join(", ");
}

function endText(until: number | undefined): string {
  return until === undefined ? "" : ` until ${time(until)}`;
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
