import { StampyardError } from "@stampyard/domain";
import type { FreezeStore, PinStore } from "./freeze-port.ts";

const notYet = () => Promise.reject(new StampyardError("INTERNAL", "Freezes are not built yet"));

export function freezeStore(): FreezeStore {
  return { list: async () => [], start: notYet, end: notYet };
}

export function pinStore(): PinStore {
  return { list: async () => [], set: notYet, remove: notYet, byStamp: async () => new Map() };
}
