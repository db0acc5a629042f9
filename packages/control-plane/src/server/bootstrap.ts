import { open, mkdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Role } from "@stampyard/api";
import { StampyardError } from "@stampyard/domain";
import type { Store, TokenRecord, WriteContext } from "../store/port.ts";

export interface BootstrapTokens {
  /** `<state>/secrets/admin.token`, mode 0600. */
  readonly adminTokenFile: string;
  readonly routerTokenFile: string;
  /** Which were made by this call. */
  readonly made: readonly Role[];
}

/**
 * Makes the first admin and router token when there is none, each into a file that only its owner can read. A token
 * that was made and whose file was lost before anybody read it, or since, is revoked and made again; a role whose
 * first token was revoked by a person, and that has others, is left alone.
 */
export async function ensureBootstrapTokens(
  store: Pick<Store, "tokens">,
  stateDir: string,
  ctx: WriteContext,
): Promise<BootstrapTokens> {
  const secrets = join(stateDir, "secrets");
  await mkdir(secrets, { recursive: true, mode: 0o700 });
  const live = (await allTokens(store)).filter((token) => token.revokedAt === undefined);
  const made: Role[] = [];
  for (const role of ["admin", "router"] as const) {
    const file = join(secrets, `${role}.token`);
    const ofRole = live.filter((token) => token.role === role);
    const name = `first-${role}`;
    const missing = ofRole.length === 0 || ofRole.some((token) => token.name === name);
    if (!missing || (await isGood(store, file, role))) continue;
    const { secret } = await store.tokens.create({ name, role, replace: true }, ctx);
    await writePrivate(file, `${secret}\n`);
    made.push(role);
  }
  return { adminTokenFile: join(secrets, "admin.token"), routerTokenFile: join(secrets, "router.token"), made };
}

async function allTokens({ tokens }: Pick<Store, "tokens">): Promise<TokenRecord[]> {
  const all: TokenRecord[] = [];
  let cursor: string | undefined;
  do {
    const page = await tokens.list({ limit: 500, ...(cursor === undefined ? {} : { cursor }) });
    all.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return all;
}

async function isGood({ tokens }: Pick<Store, "tokens">, file: string, role: Role): Promise<boolean> {
  let text: string;
  try {
    text = (await readFile(file, "utf8")).trim();
  } catch (caught) {
    if ((caught as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw new StampyardError("INTERNAL", `Cannot read ${file}`, {
      cause: caught,
      mend: "Make it readable for this user.",
    });
  }
  return text !== "" && (await tokens.verify(text))?.role === role;
}

/** Whole or not at all, and never readable by others, not even for a moment. */
async function writePrivate(file: string, text: string): Promise<void> {
  const fresh = `${file}.new`;
  await rm(fresh, { force: true });
  const handle = await open(fresh, "wx", 0o600);
  try {
    await handle.writeFile(text);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(fresh, file);
}
