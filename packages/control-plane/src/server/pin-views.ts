import type { PinView } from "@stampyard/api";
import type { Pin, Store } from "../store/port.ts";
import { readVersions, type VersionOf } from "./rollout-view.ts";
import { time } from "./views.ts";

/** Pins with the versions of the releases that they name. */
export async function pinViews(store: Pick<Store, "fleet">, pins: readonly Pin[]): Promise<PinView[]> {
  const releases = pins.flatMap(({ release }) => (release === undefined ? [] : [release]));
  const versionOf = await readVersions(store, releases);
  return pins.map((pin) => pinView(pin, versionOf));
}

function pinView({ subject, release, until, reason, by, since }: Pin, versionOf: VersionOf): PinView {
  const version = release === undefined ? undefined : versionOf(release);
  return {
    ...subject,
    ...(release === undefined ? {} : { release }),
    ...(version === undefined ? {} : { version }),
    until: time(until),
    reason,
    setBy: by,
    since: time(since),
  };
}
