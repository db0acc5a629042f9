/** What the figures say of what the router must reach, and of what it aims at. Pure. */

export const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
export const fixed = (value, digits = 1) => (value === undefined ? undefined : Number(value.toFixed(digits)));
const mostAA = 1.15;

/** Two equal things may differ by this factor, either way round. */
export const isQuiet = (ratio) => Math.max(ratio, 1 / ratio) <= mostAA;

/** Median over the rounds of one's figure by another's in the same round. */
export function paired(slices, others, key) {
  if (slices === undefined || others === undefined) return undefined;
  const ratios = slices.flatMap((one, n) => (others[n] === undefined ? [] : [one[key] / others[n][key]]));
  return ratios.length === 0 ? undefined : median(ratios);
}

/** The cheapest of these, by the median of its CPU per request. */
export function cheapest(taken, names) {
  const there = names.filter((name) => taken[name] !== undefined);
  const cost = (name) => median(taken[name].map(({ cpuUs }) => cpuUs));
  return there.toSorted((a, b) => cost(a) - cost(b))[0];
}

/**
 * One row per thing that was promised: the ratio, its bounds and a verdict. `taken` holds the slices of each workload by
 * the candidate's name, in rounds.
 */
export function verdicts(taken, ours, nodeProxies) {
  const { small = {}, "1 MiB response": response = {}, "1 MiB upload": upload = {} } = taken;
  const half = taken["half of saturation"] ?? {};
  const best = cheapest(small, nodeProxies);
  const aa = paired(small["A/A"], small.stampyard, "cpuUs");
  const halfAA = (key) => paired(half["nginx again"], half.nginx, key);
  const rows = [];
  for (const name of ours) {
    const add = (measure, ratio, must, aim, noise) => {
      if (ratio === undefined) return;
      rows.push({ router: name, measure, ratio: fixed(ratio, 2), must, aim, verdict: judge(ratio, must, aim, noise) });
    };
    add("CPU, small ÷ nginx", paired(small[name], small.nginx, "cpuUs"), 1.6, name === "stampyard" ? 1.15 : 1, aa);
    add("CPU, small ÷ HAProxy", paired(small[name], small.haproxy, "cpuUs"), 1.5, undefined, aa);
    add(`CPU, small ÷ ${best} (best Node proxy)`, paired(small[name], small[best], "cpuUs"), 0.5, 0.3, aa);
    const bigAA = (slices) => paired(slices["A/A"], slices.stampyard, "cpuUs");
    add("CPU, 1 MiB response ÷ nginx", paired(response[name], response.nginx, "cpuUs"), 2, 1.3, bigAA(response));
    add("CPU, 1 MiB upload ÷ nginx", paired(upload[name], upload.nginx, "cpuUs"), 2, 1.3, bigAA(upload));
    add("p99 at half of saturation ÷ nginx", paired(half[name], half.nginx, "p99Ms"), undefined, 1.1, halfAA("p99Ms"));
    add(
      "p50 at half of saturation ÷ nginx",
      paired(half[name], half.nginx, "p50Ms"),
      undefined,
      undefined,
      halfAA("p50Ms"),
    );
  }
  return rows;
}

function judge(ratio, must, aim, noise = 1) {
  const said = aim !== undefined && ratio <= aim ? "aim reached" : must === undefined ? "reported" : undefined;
  const verdict = said ?? (ratio <= must ? "reached" : "MISSED");
  return isQuiet(noise) ? verdict : `void: A/A ${fixed(noise, 2)} (${verdict})`;
}
