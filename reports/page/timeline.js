// All operations by process, on a canvas: far away as a picture of counts, close by as bars with what they did.

import { OUTCOMES } from "./data.js";
import { firstAfter, firstBehind, Raster } from "./raster.js";
import { moment, ticks, step } from "./format.js";
import { drawMarks, MARK_ROW, markAt, marksOf } from "./marks.js";

const LEFT = 64, AXIS = 22, STRIP = 14, STRIPS_MAX = 5, BARS_MAX = 2500, HEIGHT = 420;

export class Timeline {
  constructor(canvas, model, view, colours) {
    Object.assign(this, { canvas, model, view, colours });
    this.raster = new Raster(model);
    this.marked = new Set(); // operations of the anomaly that was asked for
    this.chosen = -1;
    this.picture = document.createElement("canvas");
    this.strips = placeFaults(model.header.faults);
    this.onChoose = this.onChooseMark = () => {};
    this.listen();
  }

  get laneHeight() {
    return Math.max(2, Math.min(26, Math.floor(HEIGHT / this.model.laneCount)));
  }

  get markRow() {
    return 4 + STRIP * this.strips.count;
  }

  get top() {
    return this.markRow + (marksOf(this.model).length > 0 ? MARK_ROW : 0);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1, width = this.canvas.parentElement.clientWidth;
    const height = this.top + this.laneHeight * this.model.laneCount + AXIS;
    this.width = width;
    this.height = height;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.canvas.style.height = `${height}px`;
    this.context = this.canvas.getContext("2d");
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.columns = Math.max(1, Math.round(width - LEFT));
    this.counts = new Float32Array(this.model.laneCount * this.columns * 3);
    this.picture.width = this.columns;
    this.rows = Math.max(1, Math.min(10, this.laneHeight - 2));
    this.picture.height = this.model.laneCount * this.rows;
    this.pixels = new ImageData(this.columns, this.picture.height);
    this.draw();
  }

  filter(shown) {
    this.raster.filter(shown);
    this.draw();
  }

  x(time) {
    return LEFT + ((time - this.view.from) / (this.view.to - this.view.from)) * this.columns;
  }

  time(x) {
    return this.view.from + ((x - LEFT) / this.columns) * (this.view.to - this.view.from);
  }

  // Once a frame, however often it is asked for.
  draw() {
    if (this.pending || !this.context) return;
    this.pending = true;
    requestAnimationFrame(() => {
      this.pending = false;
      this.drawNow();
    });
  }

  drawNow() {
    const { context, view, width, height } = this, bars = this.raster.inSight(view.from, view.to) <= BARS_MAX;
    context.clearRect(0, 0, width, height);
    this.drawBands();
    if (bars) this.drawBars();
    else this.drawPicture();
    this.drawMarked();
    const marks = drawMarks(this, LEFT, this.markRow, height - AXIS);
    this.drawFrame();
    Object.assign(this.canvas.dataset, { drawn: bars ? "bars" : "picture", marked: this.marked.size, marks });
  }

  drawPicture() {
    const { context, view, columns, model, colours } = this;
    this.raster.count(view.from, view.to, columns, this.counts);
    paint(this.counts, colours.rgb, this.rows, columns, new Uint32Array(this.pixels.data.buffer));
    this.picture.getContext("2d").putImageData(this.pixels, 0, 0);
    context.imageSmoothingEnabled = false;
    const gap = this.laneHeight > 6 ? 2 : 0;
    for (let k = 0; k < model.laneCount; k++)
      context.drawImage(this.picture, 0, k * this.rows, columns, this.rows, LEFT, this.top + k * this.laneHeight + gap / 2, columns, this.laneHeight - gap);
  }

  eachInSight(visit) {
    const { model, view, raster } = this;
    for (let k = 0; k < model.laneCount; k++)
      for (let j = firstAfter(model, k, view.from), behind = firstBehind(model, k, view.to); j < behind; j++) {
        const i = model.byLane[j];
        if (model.end[i] >= view.from && (raster.shown === null || raster.shown[i])) visit(i, k);
      }
  }

  box(i) {
    const from = Math.max(LEFT, this.x(this.model.begin[i])), to = Math.min(this.width, this.x(this.model.end[i]));
    const gap = this.laneHeight > 6 ? 2 : 0;
    return { x: from, y: this.top + this.model.lane[i] * this.laneHeight + gap / 2, w: Math.max(1.5, to - from), h: this.laneHeight - gap };
  }

  drawBars() {
    const { context, colours, model } = this;
    context.font = "11px ui-monospace, monospace";
    context.textBaseline = "middle";
    this.eachInSight((i) => {
      const { x, y, w, h } = this.box(i), kind = Math.min(2, model.outcome[i]);
      context.fillStyle = colours.outcome[kind];
      context.globalAlpha = kind === 0 ? 0.4 : 0.6;
      context.fillRect(x, y, w, h);
      context.globalAlpha = 1;
      if (w > 4) {
        context.strokeStyle = colours.paper;
        context.strokeRect(x, y, w, h);
      }
      if (w > 34 && h >= 12) this.label(i, x, y, w, h);
    });
  }

  label(i, x, y, w, h) {
    const { context, model, colours } = this;
    const value = model.value(i), text = `${model.header.functions[model.f[i]]}${value === "" ? "" : " " + value}`;
    const room = Math.floor((w - 6) / 6.7);
    context.fillStyle = colours.ink;
    context.fillText(text.length <= room ? text : text.slice(0, Math.max(0, room - 1)) + "…", x + 3, y + h / 2 + 0.5);
  }

  drawMarked() {
    const { context, colours } = this;
    context.lineWidth = 2;
    for (const i of this.marked) this.outline(i, colours.bad);
    if (this.chosen >= 0) this.outline(this.chosen, colours.ink);
    context.lineWidth = 1;
  }

  outline(i, colour) {
    const { context, model, view } = this;
    if (model.end[i] < view.from || model.begin[i] > view.to) return;
    const { x, y, w, h } = this.box(i);
    context.strokeStyle = colour;
    context.strokeRect(x - 1, y - 1, w + 2, h + 2);
  }

  drawBands() {
    const { context, colours, model, view } = this, bottom = this.height - AXIS;
    model.header.faults.forEach((fault, n) => {
      if (fault["from-ns"] > view.to || fault["to-ns"] < view.from) return;
      const from = Math.max(LEFT, this.x(fault["from-ns"])), to = Math.min(this.width, this.x(fault["to-ns"]));
      const y = 2 + STRIP * this.strips.of[n], w = Math.max(1.5, to - from);
      context.fillStyle = colours.band;
      context.globalAlpha = 0.12;
      if (!fault.failed) context.fillRect(from, this.top, w, bottom - this.top);
      context.globalAlpha = fault.failed ? 0.25 : 0.6;
      context.fillRect(from, y, w, STRIP - 3);
      context.globalAlpha = 1;
      const text = `${fault.id} ${fault.nemesis}`;
      context.font = "10px system-ui, sans-serif";
      context.fillStyle = colours.ink;
      context.textBaseline = "middle";
      if (context.measureText(text).width < w - 6) context.fillText(text, from + 3, y + STRIP / 2 - 1);
    });
  }

  drawFrame() {
    const { context, colours, model, view } = this, bottom = this.height - AXIS;
    context.font = "11px system-ui, sans-serif";
    context.fillStyle = colours.soft;
    context.strokeStyle = colours.line;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const every = step(model.laneCount, Math.max(1, Math.floor((bottom - this.top) / 13)));
    for (let k = 0; k < model.laneCount; k += Math.max(1, every))
      context.fillText(laneName(model.header.lanes, k), LEFT - 6, this.top + (k + 0.5) * this.laneHeight);
    context.textAlign = "center";
    for (const { at, text } of ticks(view.from, view.to, Math.max(2, Math.floor(this.columns / 110)), model.header.timed)) {
      const x = Math.round(this.x(at)) + 0.5;
      context.beginPath();
      context.moveTo(x, bottom);
      context.lineTo(x, bottom + 4);
      context.stroke();
      context.fillText(text, Math.min(x, this.width - 24), bottom + 13);
    }
    context.textAlign = "left";
  }

  // The operation at a place, -1 for none; within two pixels.
  at(x, y) {
    const { model, raster } = this, lane = Math.floor((y - this.top) / this.laneHeight);
    if (lane < 0 || lane >= model.laneCount || x < LEFT) return -1;
    const slack = (2 / this.columns) * (this.view.to - this.view.from), time = this.time(x);
    let best = -1, distance = Infinity;
    for (let j = firstAfter(model, lane, time - slack), n = 0; j < firstBehind(model, lane, time + slack) && n < 5000; j++, n++) {
      const i = model.byLane[j];
      if (raster.shown !== null && !raster.shown[i]) continue;
      const off = Math.max(0, model.begin[i] - time, time - model.end[i]);
      if (off <= slack && off <= distance) {
        best = i;
        distance = off;
      }
    }
    return best;
  }

  choose(x, y) {
    const mark = y >= this.markRow && y < this.top ? markAt(this, x) : -1;
    if (mark >= 0) this.onChooseMark(mark);
    else this.onChoose(this.at(x, y));
  }

  listen() {
    const { canvas, view } = this, held = new Map();
    let moved = false;
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.shiftKey && Math.abs(event.deltaX) > Math.abs(event.deltaY)) view.pan(event.deltaX / this.columns);
      else if (event.shiftKey) view.pan(event.deltaY / this.columns);
      else view.zoom(1.0025 ** event.deltaY, this.time(event.offsetX));
      event.preventDefault();
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, event.offsetX);
      moved = false;
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!held.has(event.pointerId)) return;
      const before = held.get(event.pointerId);
      if (held.size === 2) this.pinch(held, event);
      else if (Math.abs(event.offsetX - before) > 2 || moved) {
        moved = true;
        view.pan((before - event.offsetX) / this.columns);
      } else return;
      held.set(event.pointerId, event.offsetX);
    });
    const release = (event) => {
      if (held.delete(event.pointerId) && !moved && event.type === "pointerup") this.choose(event.offsetX, event.offsetY);
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("keydown", (event) => {
      const keys = { ArrowLeft: () => view.pan(-0.2), ArrowRight: () => view.pan(0.2), "+": () => view.zoom(0.5), "=": () => view.zoom(0.5),
        "-": () => view.zoom(2), 0: () => view.all(), Home: () => view.pan(-1e9), End: () => view.pan(1e9) };
      if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
      keys[event.key]();
      event.preventDefault();
    });
  }

  pinch(held, event) {
    const other = [...held].find(([id]) => id !== event.pointerId)[1], before = held.get(event.pointerId);
    const apart = Math.max(8, Math.abs(before - other)), now = Math.max(8, Math.abs(event.offsetX - other));
    this.view.zoom(apart / now, this.time((other + event.offsetX) / 2));
  }

  describe(i) {
    const { model } = this, { header } = model, by = (this.view.to - this.view.from) / 1000;
    return { process: model.process[i], f: header.functions[model.f[i]], value: model.value(i), outcome: OUTCOMES[model.outcome[i]],
      error: model.error && model.error[i] > 0 ? header.errors[model.error[i]] : "", from: moment(model.begin[i], by, header.timed),
      took: model.end[i] - model.begin[i], open: model.outcome[i] === 3 };
  }
}

export const laneName = (lanes, k) => String(lanes.folded ? k : lanes.processes[k] ?? k);

// Faults in strips above the lanes, so that those that overlap can be told apart.
function placeFaults(faults) {
  const ends = [], of = faults.map((fault) => {
    let strip = ends.findIndex((end) => end <= fault["from-ns"]);
    if (strip < 0) strip = ends.length < STRIPS_MAX ? ends.length : ends.indexOf(Math.min(...ends));
    ends[strip] = Math.max(fault["to-ns"], ends[strip] ?? 0);
    return strip;
  });
  return { of, count: ends.length };
}

// A lane is `rows` pixels high: from below, as many of them have the colours of fail and info as is their share, and at
// least one where there is any, lest what is rare be lost.
export function paint(counts, colours, rows, columns, pixels) {
  const [ok, fail, info] = colours.map(([r, g, b]) => (230 << 24) | (b << 16) | (g << 8) | r);
  for (let cell = 0, lane = 0; cell < counts.length; lane++)
    for (let x = 0; x < columns; x++, cell += 3) {
      const all = counts[cell] + counts[cell + 1] + counts[cell + 2];
      const fails = Math.ceil((counts[cell + 1] / all) * rows), infos = Math.ceil((counts[cell + 2] / all) * rows);
      for (let row = 0, at = lane * rows * columns + x; row < rows; row++, at += columns) {
        const height = rows - row;
        pixels[at] = all === 0 ? 0 : height <= infos ? info : height <= infos + fails ? fail : counts[cell] > 0 || row > 0 ? ok : fails > 0 ? fail : info;
      }
    }
}
