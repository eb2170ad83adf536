// What the charts draw, counted over the stretch that is looked at: completions a second, quantiles of latency, and for the
// heat map how many operations took how long when. Durations are counted in bins of a twelfth of a doubling (6 %).

import { OPEN } from "./data.js";

const BINS_A_DOUBLING = 12, DOUBLINGS = 44; // to 2^44 ns, nearly five hours
export const BINS = BINS_A_DOUBLING * DOUBLINGS;
export const QUANTILES = [0.5, 0.95, 0.99, 1];

const binOf = (ns) => (ns < 1 ? 0 : Math.min(BINS - 1, Math.floor(Math.log2(ns) * BINS_A_DOUBLING)));
export const binFrom = (bin) => 2 ** (bin / BINS_A_DOUBLING);

// Looks at every operation, which takes some 10 ms a million.
export function count(model, shown, from, to, buckets) {
  const rates = [0, 1, 2].map(() => new Float64Array(buckets)), heat = new Float32Array(buckets * BINS);
  const scale = buckets / (to - from), points = [], sums = new Float64Array(BINS);
  let all = 0;
  for (let i = 0; i < model.count; i++) {
    const end = model.end[i];
    if (end < from || end > to || !shown[i] || model.outcome[i] === OPEN) continue;
    const bucket = Math.min(buckets - 1, Math.floor((end - from) * scale)), weight = model.weight ? model.weight[i] : 1;
    const bin = binOf(end - model.begin[i]);
    rates[model.outcome[i]][bucket] += weight;
    heat[bucket * BINS + bin] += weight;
    sums[bin] += weight;
    if (all++ < POINTS_MAX) points.push(i);
  }
  return { from, to, buckets, rates, heat, ...range(sums), count: all, points: all <= POINTS_MAX ? points : null };
}
export const POINTS_MAX = 4000;

// The lowest and the highest bin worth room on the axis: a thousandth may lie below, nothing above.
function range(sums) {
  const all = sums.reduce((a, b) => a + b, 0);
  let low = 0, below = sums[0];
  while (low < BINS - 1 && below <= all / 1000) below += sums[++low];
  return { low, high: sums.findLastIndex((n) => n > 0) };
}

// A line a quantile: in the middle of its bin, null where nothing completed.
export function quantiles(counted) {
  const lines = QUANTILES.map(() => new Array(counted.buckets).fill(null));
  for (let b = 0; b < counted.buckets; b++) {
    let all = 0, seen = 0, q = 0;
    for (let bin = 0; bin <= counted.high; bin++) all += counted.heat[b * BINS + bin];
    for (let bin = 0; bin <= counted.high && all > 0; bin++) {
      seen += counted.heat[b * BINS + bin];
      while (q < QUANTILES.length && seen >= QUANTILES[q] * all - 1e-6) lines[q++][b] = binFrom(bin + 0.5);
    }
  }
  return lines;
}
