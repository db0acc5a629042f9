const durationUnits = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 } as const;

/** `500ms`, `30s`, `5m` or `1h`; one unit only, so that there is one way to read it. */
export const durationPattern = /^(?:0|[1-9][0-9]{0,7})(?:ms|s|m|h)$/;

/** Milliseconds, or undefined if it is no duration. */
export function parseDuration(text: string): number | undefined {
  if (!durationPattern.test(text)) return undefined;
  const digits = Number.parseInt(text, 10);
  const unit = text.replace(/^[0-9]+/, "") as keyof typeof durationUnits;
  return digits * durationUnits[unit];
}

/** `64Mi` and `64MB` mean the same, as in PostgreSQL: 2^20 bytes each. */
export const sizePattern = /^[1-9][0-9]{0,6}(?:Mi|MB|Gi|GB)$/;

/** Mebibytes, or undefined if it is no size. */
export function parseSize(text: string): number | undefined {
  if (!sizePattern.test(text)) return undefined;
  return Number.parseInt(text, 10) * (/G/.test(text) ? 1024 : 1);
}
