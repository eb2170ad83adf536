// Operations to pixels. For each lane and pixel of width, how many operations of each outcome there are: counted one by
// one where few are in sight, and from sums made beforehand, of buckets that halve from level to level, where many are.

const CELLS_MAX = 1 << 20; // of the finest level, all lanes together
const BUCKETS_MIN = 1024;
const DIRECT_MAX = 60000; // operations counted one by one

// The first place in a lane of whose operations one may last until `time`.
export function firstAfter(model, lane, time) {
  let low = model.laneStart[lane], high = model.laneStart[lane + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (model.reach[middle] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

// The first place in a lane whose operation begins after `time`.
export function firstBehind(model, lane, time) {
  let low = model.laneStart[lane], high = model.laneStart[lane + 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (model.begin[model.byLane[middle]] <= time) low = middle + 1;
    else high = middle;
  }
  return low;
}

const kindOf = (outcome) => (outcome > 2 ? 2 : outcome); // what never completed is as uncertain as info

export class Raster {
  constructor(model) {
    this.model = model;
    this.shown = null;
    this.levels = [];
  }

  // Makes the sums anew for the operations that are shown.
  filter(shown) {
    const { model } = this, { "from-ns": from, "to-ns": to } = model.header;
    this.shown = shown;
    let buckets = BUCKETS_MIN;
    while (buckets * 2 * model.laneCount <= CELLS_MAX) buckets *= 2;
    const cells = new Uint32Array(buckets * model.laneCount * 3), scale = buckets / Math.max(1, to - from);
    for (let i = 0; i < model.count; i++) {
      if (!shown[i]) continue;
      const weight = model.weight ? model.weight[i] : 1;
      const first = Math.min(buckets - 1, Math.max(0, Math.floor((model.begin[i] - from) * scale)));
      const last = Math.min(buckets - 1, Math.floor((model.end[i] - from) * scale));
      let cell = (model.lane[i] * buckets + first) * 3 + kindOf(model.outcome[i]);
      for (let b = first; b <= last; b++, cell += 3) cells[cell] += weight;
    }
    this.levels = [{ buckets, cells }];
    while (this.levels.at(-1).buckets > BUCKETS_MIN) this.levels.push(this.halve(this.levels.at(-1)));
  }

  halve({ buckets, cells }) {
    const half = new Uint32Array(cells.length / 2);
    for (let cell = 0, from = 0; cell < half.length; cell += 3, from += 6)
      for (let kind = 0; kind < 3; kind++) half[cell + kind] = cells[from + kind] + cells[from + 3 + kind];
    return { buckets: buckets / 2, cells: half };
  }

  // How many operations lie between two times, shown or not: what decides how they are drawn.
  inSight(from, to) {
    let count = 0;
    for (let k = 0; k < this.model.laneCount; k++)
      count += Math.max(0, firstBehind(this.model, k, to) - firstAfter(this.model, k, from));
    return count;
  }

  // Counts into `out` (laneCount * width * 3).
  count(from, to, width, out) {
    out.fill(0);
    if (this.inSight(from, to) <= DIRECT_MAX) this.countDirect(from, to, width, out);
    else this.countLevels(from, to, width, out);
  }

  countDirect(from, to, width, out) {
    const { model, shown } = this, scale = width / (to - from);
    for (let k = 0; k < model.laneCount; k++) {
      const behind = firstBehind(model, k, to);
      for (let j = firstAfter(model, k, from); j < behind; j++) {
        const i = model.byLane[j];
        if (!shown[i] || model.end[i] < from) continue;
        const weight = model.weight ? model.weight[i] : 1;
        const first = Math.max(0, Math.floor((model.begin[i] - from) * scale));
        const last = Math.min(width - 1, Math.floor((model.end[i] - from) * scale));
        let cell = (k * width + first) * 3 + kindOf(model.outcome[i]);
        for (let x = first; x <= last; x++, cell += 3) out[cell] += weight;
      }
    }
  }

  countLevels(from, to, width, out) {
    const { model } = this, { "from-ns": first, "to-ns": last } = model.header;
    const wanted = (width * (last - first)) / (to - from); // buckets a level would have to have, one a pixel
    const level = this.levels.findLast((one) => one.buckets >= wanted) || this.levels[0];
    const scale = level.buckets / (last - first), a_pixel = ((to - from) / width) * scale, begins = (from - first) * scale;
    for (let k = 0; k < model.laneCount; k++) {
      const lane = k * level.buckets * 3;
      for (let x = 0, cell = k * width * 3; x < width; x++, cell += 3) {
        const low = Math.floor(begins + x * a_pixel), high = Math.max(low + 1, Math.floor(begins + (x + 1) * a_pixel));
        for (let b = Math.max(0, low), source = lane + b * 3; b < Math.min(high, level.buckets); b++, source += 3) {
          out[cell] += level.cells[source];
          out[cell + 1] += level.cells[source + 1];
          out[cell + 2] += level.cells[source + 2];
        }
      }
    }
  }
}
