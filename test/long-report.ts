import { appendFileSync } from "node:fs";

/** What a part of a suite came to, for the record of a long run (`scripts/long-run.mjs`); otherwise nothing happens. */
export function report(part: string, figures: Readonly<Record<string, unknown>>): void {
  const file = process.env["STAMPYARD_LONG_REPORT"];
  if (file !== undefined) appendFileSync(file, `${JSON.stringify({ part, ...figures })}\n`);
}

/** Memory of this process, which holds router, stamps and clients of a suite. */
export function residentMiB(): number {
  return Math.round(process.memoryUsage.rss() / 2 ** 20);
}
