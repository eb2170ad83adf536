// The page's own modules, without a browser.

import assert from "node:assert/strict";
import { test } from "node:test";

const from = (name) => import(`${process.env.ORDEAL_SOURCE}/reports/page/${name}.js`);
const { build, varints } = await from("data");
const { apply, keysNamed } = await from("filter");
const { duration, moment, step, ticks } = await from("format");
const { Raster } = await from("raster");
const { count, quantiles, BINS } = await from("series");
const { View } = await from("view");

// Operations [lane, begin, duration, outcome, f] to a model.
function made(operations, header = {}) {
  const bytes = (column) => Uint8Array.from(operations.map(column));
  let last = 0;
  const begin = operations.map(([, at]) => [at - last, (last = at)][0]);
  return build(
    { version: 1, timed: true, "from-ns": 0, "to-ns": 100, "quantum-ns": 1, count: operations.length, total: operations.length, step: 1, "odd-step": 1,
      values: "all", lanes: { count: 2, folded: true }, functions: ["read", "write"], errors: ["", ":timeout"], keys: ["x", "xy"], faults: [], anomalies: [], ...header },
    { begin: Uint8Array.from(begin), duration: bytes(([, , d]) => d), lane: bytes(([k]) => k), generation: bytes(() => 0), outcome: bytes(([, , , o]) => o),
      f: bytes(([, , , , f]) => f), near: bytes(() => 0), error: bytes(([, , , o]) => (o === 2 ? 1 : 0)), key: bytes(([k]) => k + 1),
      value: new TextEncoder().encode(operations.map((_, i) => `v${i}\n`).join("")) });
}
const SIX = [[0, 0, 10, 0, 0], [1, 2, 3, 1, 1], [1, 6, 50, 2, 1], [0, 20, 5, 0, 1], [0, 30, 60, 3, 0], [1, 70, 10, 0, 0]];

test("varints, beyond 31 bits as well", () => {
  assert.deepEqual([...varints(Uint8Array.of(0, 127, 0x80, 1, 0x80, 0x80, 0x80, 0x80, 0x20), new Float64Array(4))], [0, 127, 128, 2 ** 33]);
});

test("columns become operations; what never ended lasts to the end", () => {
  const model = made(SIX);
  assert.deepEqual([...model.begin], [0, 2, 6, 20, 30, 70]);
  assert.deepEqual([...model.end], [10, 5, 56, 25, 100, 80]);
  assert.deepEqual([...model.byLane], [0, 3, 4, 1, 2, 5]);
  assert.equal(model.value(3), "v3");
});

test("rounded durations are within 1 %", () => {
  for (const [high, low, is] of [[0, 63, 63], [1, 0, 64], [1, 63, 127], [2, 1, 130], [10, 32, 49152]]) {
    const model = build({ timed: true, "from-ns": 0, "to-ns": 1e9, "quantum-ns": 1, count: 1, lanes: { count: 1, folded: true }, functions: ["f"], errors: [""], values: "none" },
      { begin: Uint8Array.of(5), "duration-high": Uint8Array.of(high), "duration-low": Uint8Array.of(low), lane: Uint8Array.of(0), generation: Uint8Array.of(0),
        outcome: Uint8Array.of(0), f: Uint8Array.of(0), near: Uint8Array.of(0) });
    assert.equal(model.end[0] - model.begin[0], is);
  }
});

test("filters", () => {
  const model = made(SIX), all = { functions: null, outcomes: null, process: "", key: "", search: "" };
  const shown = (filter) => [...apply(model, { ...all, ...filter }).shown].flatMap((one, i) => (one ? [i] : []));
  assert.deepEqual(shown({}), [0, 1, 2, 3, 4, 5]);
  assert.deepEqual(shown({ functions: new Set([0]) }), [0, 4, 5]);
  assert.deepEqual(shown({ outcomes: new Set([2, 3]) }), [2, 4]);
  assert.deepEqual(shown({ process: "1" }), [1, 2, 5]);
  assert.deepEqual(shown({ process: "nobody" }), []);
  assert.deepEqual(shown({ key: "xy" }), [1, 2, 5]);
  assert.deepEqual(shown({ search: "TIMEOUT" }), [2]);
  assert.deepEqual(shown({ search: "v3" }), [3]);
  assert.deepEqual([...keysNamed(["x", "xy"], "x")], [1]); // the key itself before what contains it
});

test("counting pixels one by one and by levels agree", () => {
  const operations = [];
  for (let i = 0; i < 400; i++) operations.push([i % 2, Math.floor(i / 4), 1, i % 3, 0]);
  const model = made(operations), raster = new Raster(model), width = 50;
  const one = new Float32Array(2 * width * 3), other = new Float32Array(2 * width * 3);
  raster.filter(apply(model, { functions: null, outcomes: new Set([0, 1]), process: "", key: "", search: "" }).shown);
  raster.countDirect(0, 100, width, one);
  raster.countLevels(0, 100, width, other);
  for (let x = 0; x < one.length; x++) assert.equal(one[x] > 0, other[x] > 0, `cell ${x}`);
  assert.ok(one.some((n, x) => n > 0 && x % 3 === 1) && one.every((n, x) => x % 3 !== 2 || n === 0));
});

test("rates and quantiles", () => {
  const model = made(SIX), counted = count(model, new Uint8Array(6).fill(1), 0, 100, 1);
  assert.deepEqual(counted.rates.map((rate) => rate[0]), [3, 1, 1]);
  assert.equal(counted.count, 5); // one never completed
  const [median, , , most] = quantiles(counted).map(([at]) => at);
  assert.ok(Math.abs(median - 10) < 1 && Math.abs(most - 50) < 4, `${median}, ${most}`);
  assert.ok(counted.high < BINS);
});

test("the view stays within the run and keeps its place when it zooms", () => {
  const view = new View(0, 1e9);
  let told = 0;
  view.onChange(() => told++);
  view.zoom(0.5, 1e8);
  assert.deepEqual([view.from, view.to], [0.5e8, 5.5e8]);
  view.pan(-10);
  assert.deepEqual([view.from, view.to], [0, 5e8]);
  view.zoom(100);
  assert.deepEqual([view.from, view.to], [0, 1e9]);
  view.all();
  assert.equal(told, 3); // what changes nothing tells nobody
});

test("times and ticks", () => {
  assert.equal(duration(1234567), "1.23 ms");
  assert.equal(duration(null), "–");
  assert.equal(step(60, 10), 10);
  assert.equal(moment(1.5e9, 5e8), "1.5 s");
  assert.deepEqual(ticks(0, 3e9, 4, true).map(({ text }) => text), ["0 s", "1 s", "2 s", "3 s"]);
});
