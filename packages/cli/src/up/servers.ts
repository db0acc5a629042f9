/**
 * Gets the servers that stamps need, and may install Debian's packages where they cannot be unpacked privately. The
 * engine finds them from then on; without this call it fetches privately by itself, and never installs.
 *
 * @throws StampyardError BINARY_MISSING
 */
export async function installServers(options: {
  readonly say: (text: string) => void;
  readonly signal: AbortSignal;
}): Promise<void> {
  const { resolveBinaries } = await import("@stampyard/engines");
  const { say: progress, signal } = options;
  const kinds = ["redis", "nats"] as const;
  for (const one of await resolveBinaries({ kinds, allowInstall: true, progress, signal })) {
    if ("error" in one) throw one.error;
  }
}
