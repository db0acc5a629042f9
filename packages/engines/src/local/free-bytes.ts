import { statfs } from "node:fs/promises";

/** Bytes that we may still write where a folder lies; undefined where there is no such folder. */
export async function freeBytesIn(folder: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch {
    return undefined;
  }
}
