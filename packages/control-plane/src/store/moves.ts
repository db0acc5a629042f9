import { StampyardError } from "@stampyard/domain";
import type { MoveStore } from "./move-port.ts";
import type { StoreBase } from "./write.ts";

export function moveStore(_base: StoreBase): MoveStore {
  const refuse = () => Promise.reject(new StampyardError("WRONG_PHASE", "Tenants do not move yet"));
  return {
    read: async () => undefined,
    list: async () => ({ items: [] }),
    propose: refuse,
    request: refuse,
    abort: refuse,
    finish: refuse,
    rollback: refuse,
    write: refuse,
    land: refuse,
    due: async () => [],
    holding: async () => ({ moving: [], resting: [] }),
    atWork: async () => new Map(),
  };
}
