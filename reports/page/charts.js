// Rates and latency beside the timeline, over the same stretch of time.

import uPlot from "uplot";
import { binFrom, BINS, count, quantiles } from "./series.js";
import { duration, moment, number, step } from "./format.js";

const BUCKETS_MAX = 240, BUCKETS_MIN = 12, A_BUCKET = 6, SETTLES_MS = 90, HEIGHT = 170;

export class Charts {
  constructor(places, model, view, colours) {
    Object.assign(this, { places, model, view, colours });
    this.shown = null;
    this.recount = this.recount.bind(this);
  }

  // The axis and the grid of both.
  axis(more) {
    const { colours } = this;
    return { stroke: colours.soft, grid: { stroke: colours.line, width: 1 }, ticks: { stroke: colours.line, width: 1 }, font: "11px system-ui", ...more };
  }

  options(title, width, series, y, hooks) {
    const { view, model } = this;
    return {
      title, width, height: HEIGHT, series, padding: [8, 0, 0, 0],
      legend: { live: true },
      scales: { x: { time: false, range: () => [view.from, view.to] }, y: y.scale },
      axes: [
        this.axis({ values: (_, splits) => splits.map((at) => moment(at, splits.length > 1 ? splits[1] - splits[0] : 1, model.header.timed)),
          splits: (_, __, from, to) => spread(from, to, Math.max(2, Math.floor(width / 130))), size: 26 }),
        this.axis({ size: 64, ...y.axis }),
      ],
      cursor: { sync: { key: "ordeal" }, drag: { x: true, y: false, setScale: false } },
      hooks: { drawClear: [(u) => this.bands(u), ...(hooks.drawClear ?? [])],
        setSelect: [(u) => {
          if (u.select.width < 4) return;
          view.set(u.posToVal(u.select.left, "x"), u.posToVal(u.select.left + u.select.width, "x"));
          u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
        }] },
    };
  }

  // Made anew when the width or the colours change.
  make() {
    this.destroy();
    const { colours, places } = this, width = places.rate.parentElement.clientWidth;
    if (width < 50) return;
    const time = { label: "at", value: (_, ns) => (ns == null ? "–" : moment(ns, (this.view.to - this.view.from) / 1000, this.model.header.timed)) };
    const rate = (label, stroke, dash) => ({ label, stroke, dash, width: 1.5, points: { show: false }, value: (_, n) => (n == null ? "–" : `${number(n)}${this.model.header.timed ? "/s" : ""}`),
      paths: uPlot.paths.stepped({ align: 1 }) });
    const line = (label, stroke, dash, points) => ({ label, stroke, dash, width: 1.4, points: points ?? { show: false }, spanGaps: false, value: (_, ns) => duration(ns) });
    this.most = Math.max(BUCKETS_MIN, Math.min(BUCKETS_MAX, Math.floor((width - 64) / 4)));
    this.look();
    this.rate = new uPlot(
      this.options(this.model.header.timed ? "Completions a second" : "Completions", width, [time, rate("ok", colours.outcome[0]), rate("fail", colours.outcome[1], [6, 3]), rate("info", colours.outcome[2], [2, 3])],
        { scale: { range: (_, __, most) => [0, Math.max(1, (most ?? 1) * 1.08)] }, axis: { values: (_, s) => s.map((n) => number(n)) } }, {}),
      this.rateData(), places.rate);
    this.latency = new uPlot(
      this.options("Latency", width, [time, line("median", colours.ink), line("p95", colours.info, [4, 3]), line("p99", colours.fail, [2, 2]), line("slowest", colours.bad, [1, 3])],
        { scale: { distr: 3, range: () => this.latencyRange() }, axis: { values: (_, s) => s.map((ns) => (ns == null || Math.log10(ns) % 1 > 1e-9 ? "" : duration(ns))), size: 64 } },
        { drawClear: [(u) => this.marks(u)] }),
      this.latencyData(), places.latency);
  }

  destroy() {
    this.rate?.destroy();
    this.latency?.destroy();
    this.rate = this.latency = null;
  }

  // As many buckets as there is room and sense for.
  look() {
    const { model, shown, view } = this, counted = count(model, shown, view.from, view.to, this.most);
    const fewer = Math.max(BUCKETS_MIN, Math.floor(counted.count / A_BUCKET));
    this.counted = fewer < this.most ? count(model, shown, view.from, view.to, fewer) : counted;
    this.picture = null;
  }

  times(share) {
    const { from, to, buckets } = this.counted;
    return Array.from({ length: buckets }, (_, b) => from + ((b + share) * (to - from)) / buckets);
  }

  rateData() {
    const { from, to, buckets, rates } = this.counted, seconds = this.model.header.timed ? (to - from) / buckets / 1e9 : 1;
    const lines = rates.map((kind) => Array.from(kind, (n) => n / seconds));
    return [[...this.times(0), to], ...lines.map((line) => [...line, line.at(-1)])];
  }

  latencyData() {
    return [this.times(0.5), ...quantiles(this.counted)];
  }

  latencyRange() {
    const { low, high } = this.counted;
    return high < 0 ? [1e6, 1e9] : [10 ** Math.floor(Math.log10(binFrom(low))), 10 ** Math.ceil(Math.log10(binFrom(high + 1)))];
  }

  filter(shown) {
    this.shown = shown;
    this.recount();
  }

  // While the view moves, what was counted moves along; when it rests, it is counted anew.
  move() {
    if (!this.rate) return;
    clearTimeout(this.timer);
    this.timer = setTimeout(this.recount, SETTLES_MS);
    this.frame ??= requestAnimationFrame(() => {
      const range = { min: this.view.from, max: this.view.to };
      this.frame = null;
      this.rate?.setScale("x", range);
      this.latency?.setScale("x", range);
    });
  }

  recount() {
    if (!this.rate) return this.make();
    this.look();
    this.rate.setData(this.rateData());
    this.latency.setData(this.latencyData());
  }

  bands(u) {
    const { ctx } = u, { left, top, width, height } = u.bbox;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    ctx.fillStyle = this.colours.band;
    ctx.globalAlpha = 0.1;
    for (const fault of this.model.header.faults) {
      if (fault.failed || fault["from-ns"] > this.view.to || fault["to-ns"] < this.view.from) continue;
      const from = u.valToPos(fault["from-ns"], "x", true), to = u.valToPos(fault["to-ns"], "x", true);
      ctx.fillRect(from, top, Math.max(1, to - from), height);
    }
    ctx.restore();
  }

  // Points where they can be told apart, else a heat map.
  marks(u) {
    const { ctx } = u, { left, top, width, height } = u.bbox;
    if (this.counted.high < 0) return;
    ctx.save();
    ctx.beginPath();
    ctx.rect(left, top, width, height);
    ctx.clip();
    if (this.counted.points) this.drawPoints(u);
    else this.drawHeat(u);
    ctx.restore();
    u.root.dataset.drawn = this.counted.points ? "points" : "heat";
  }

  drawPoints(u) {
    const { model, colours, counted } = this, size = 2.5 * devicePixelRatio;
    for (const i of counted.points) {
      u.ctx.fillStyle = colours.outcome[model.outcome[i]];
      u.ctx.fillRect(u.valToPos(model.end[i], "x", true) - size / 2, u.valToPos(Math.max(1, model.end[i] - model.begin[i]), "y", true) - size / 2, size, size);
    }
  }

  drawHeat(u) {
    const { counted } = this, rows = counted.high - counted.low + 1;
    this.picture ??= heatPicture(counted, rows, this.colours.rgb[0]);
    const x = u.valToPos(counted.from, "x", true), w = u.valToPos(counted.to, "x", true) - x;
    const y = u.valToPos(binFrom(counted.high + 1), "y", true), h = u.valToPos(binFrom(counted.low), "y", true) - y;
    u.ctx.imageSmoothingEnabled = false;
    u.ctx.drawImage(this.picture, x, y, w, h);
  }
}

function spread(from, to, most) {
  const by = step(to - from, most), found = [];
  for (let k = Math.ceil(from / by - 1e-9); k * by <= to; k++) found.push(k * by);
  return found;
}

// A pixel a bucket and bin; the logarithm of how many are there is how strong it is.
function heatPicture({ buckets, heat, low, high }, rows, rgb) {
  const picture = document.createElement("canvas"), pixels = new ImageData(buckets, rows);
  let most = 1;
  for (let b = 0; b < buckets; b++) for (let bin = low; bin <= high; bin++) most = Math.max(most, heat[b * BINS + bin]);
  for (let b = 0; b < buckets; b++)
    for (let bin = low; bin <= high; bin++) {
      const n = heat[b * BINS + bin], at = ((high - bin) * buckets + b) * 4;
      if (n === 0) continue;
      pixels.data.set(rgb, at);
      pixels.data[at + 3] = 30 + (200 * Math.log1p(n)) / Math.log1p(most);
    }
  picture.width = buckets;
  picture.height = rows;
  picture.getContext("2d").putImageData(pixels, 0, 0);
  return picture;
}
