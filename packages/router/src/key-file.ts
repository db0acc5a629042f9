import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { isRouteKeyText } from "@stampyard/guard";
import { writeDurably } from "./directory-files.ts";
import type { StampKeys } from "./route-signer.ts";

const fileName = "keys.json";

/** Route keys of all stamps, apart from the snapshot and readable by us only (decision D7). */
export async function loadKeys(folder: string): Promise<Map<string, StampKeys>> {
  const keys = new Map<string, StampKeys>();
  let value: unknown;
  try {
    value = JSON.parse(await readFile(join(folder, fileName), "utf8"));
  } catch {
    // Without keys nothing is forwarded until the feed brings them; a wrong file is as good as none.
    return keys;
  }
  if (typeof value !== "object" || value === null) return keys;
  for (const [stamp, list] of Object.entries(value)) if (isKeys(list)) keys.set(stamp, list);
  return keys;
}

export async function saveKeys(folder: string, keys: ReadonlyMap<string, StampKeys>): Promise<void> {
  await writeDurably(folder, fileName, JSON.stringify(Object.fromEntries(keys)), 0o600);
}

function isKeys(value: unknown): value is StampKeys {
  return (
    Array.isArray(value) &&
    value.every(
      (key: unknown) =>
        typeof key === "object" &&
        key !== null &&
        "kid" in key &&
        "secret" in key &&
        typeof key.kid === "string" &&
        typeof key.secret === "string" &&
        isRouteKeyText(key.kid, key.secret),
    )
  );
}

export interface KeySaver {
  save(): void;
  /** Something is not on disk yet, and nothing has failed. */
  busy(): boolean;
  done(): Promise<void>;
}

/** Writes the key file after changes, one write at a time, always the newest state. */
export function createKeySaver(
  folder: string,
  keys: ReadonlyMap<string, StampKeys>,
  onTrouble: (reason: string) => void,
  onSaved: () => void = () => {},
): KeySaver {
  let dirty = false;
  let saving: Promise<void> | undefined;
  async function work(): Promise<void> {
    while (dirty) {
      dirty = false;
      await saveKeys(folder, keys).catch((caught: unknown) => onTrouble(String(caught)));
    }
    saving = undefined;
    onSaved();
  }
  return {
    save() {
      dirty = true;
      saving ??= work();
    },
    busy: () => saving !== undefined,
    done: async () => await saving,
  };
}
