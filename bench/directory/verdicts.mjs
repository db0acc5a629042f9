/** What the directory must reach, what it aims at, and what it did. Pure. */
export function directoryVerdicts(results) {
  const rows = [];
  const add = (measure, value, must, aim) => {
    const verdict =
      value <= aim ? "aim reached" : must === undefined ? "aim MISSED" : value <= must ? "reached" : "MISSED";
    rows.push({ measure, value, must, aim, verdict });
  };
  for (const { tenants, load, memory } of results) {
    const many = `${(tenants * 2).toLocaleString("en")} entries`;
    // The bounds are for a million tenants, and for ten million entries; between them nothing was promised.
    if (tenants === 1_000_000) {
      add(`${many}: bytes per entry over base`, memory.bytesPerEntry, 64);
      add(`${many}: load and verify, ms`, load.medianMs, 150);
    }
    if (tenants === 5_000_000) {
      add(`${many}: memory over base, MiB`, Math.round((memory.bytesPerEntry * tenants * 2) / 2 ** 20), undefined, 350);
      add(`${many}: load and verify, ms`, load.medianMs, undefined, 500);
    }
  }
  return rows;
}
