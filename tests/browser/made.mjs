// Histories made up, in EDN on standard output: node made.mjs cycle | hostile | large COUNT; a log: logged RESULTS; a store: many RESULTS.

import { linkSync, mkdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";

const chunks = [];
let size = 0;
function put(line) {
  chunks.push(line);
  size += line.length;
  if (size > 1 << 20) flush();
}
function flush() {
  const text = Buffer.from(chunks.join(""));
  for (let at = 0; at < text.length; ) at += writeSync(1, text, at);
  chunks.length = size = 0;
}
const event = (type, f, value, process, time, error) =>
  put(`{:type :${type}, :f :${f}, :value ${value}, :process ${process}, :time ${time}${error ? `, :error ${error}` : ""}}\n`);

// A small generator of its own, so that the same history is made everywhere.
let seed = 12345;
const random = () => ((seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0) / 2 ** 32);

function cycle() {
  const transactions = [
    ["[[:append 1 1]]", "[[:append 1 1]]"], ["[[:r 1 nil] [:append 2 1]]", "[[:r 1 [1]] [:append 2 1]]"],
    ["[[:append 3 7] [:r 4 nil]]", "[[:append 3 7] [:r 4 [9]]]"], ["[[:append 4 9] [:r 3 nil]]", "[[:append 4 9] [:r 3 [7]]]"],
    ["[[:r 3 nil] [:r 4 nil]]", "[[:r 3 [7]] [:r 4 [9]]]"]];
  transactions.forEach(([asked, told], i) => {
    event("invoke", "txn", asked, i, i * 1000000);
    event("ok", "txn", told, i, 40000000 + i * 1000000);
  });
  event("info", "mark", '{:kind "leader", :text "n2 leads", :nodes ["n2"]}', ":mark", 20000000);
  event("info", "mark", '{:kind "failover", :text "connected anew", :from 10000000}', ":mark", 30000000);
}

// What a node of that run wrote, and results.json as a run that knows when it began has it.
function logged(results) {
  const told = JSON.parse(readFileSync(results, "utf8"));
  told.test = { ...told.test, "time-zero": "20261130T091500.000Z", "log-marks": [{ kind: "election", pattern: "became leader" }] };
  writeFileSync(results, JSON.stringify(told));
  put("2026-11-30T09:14:59.000Z starts\n2026-11-30T09:15:00.025Z n2 became leader\n2026-11-30T09:15:00.041Z <b>applied</b>\n2026-11-30T09:15:30.000Z ends\n");
}

// Markup and scripts wherever a system under test can put them.
function hostile() {
  const attack = '"<script>document.title=1;fetch(\\"http://127.0.0.1/x\\")</script><img src=x onerror=alert(1)>\\u202e"';
  for (let i = 0; i < 60; i++) {
    event("invoke", "write", `[${attack} ${i}]`, i % 5, i * 2000000);
    event(i % 3 === 0 ? "info" : "ok", "write", `[${attack} ${i}]`, i % 5, i * 2000000 + 900000, i % 3 === 0 ? `[:oops ${attack}]` : "");
    if (i % 3 === 0) continue;
    event("invoke", "read", `[${attack} nil]`, i % 5, i * 2000000 + 1000000);
    event("ok", "read", `[${attack} ${attack}]`, i % 5, i * 2000000 + 1500000);
  }
  event("info", "mark", `{:kind ${attack}, :text ${attack}, :nodes [${attack}]}`, ":mark", 130000000);
}

// A minute of twenty clients on registers of which each is used for a while; ten seconds of it go badly.
function large(text) {
  const count = Number(text);
  const workers = 20, gap = 60e9 / count, registers = new Map(), open = new Array(workers).fill(null);
  const processes = Array.from({ length: workers }, (_, i) => i);
  let now = 0;
  const end = (w) => {
    const { f, key, value, begun, bad } = open[w];
    const lucky = random(), type = bad && lucky < 0.3 ? "fail" : bad && lucky < 0.31 ? "info" : "ok";
    const took = Math.min(now, Math.floor(begun + gap * workers * (0.2 + 0.7 * random() * random())));
    if (type !== "fail" && f === "write") registers.set(key, value);
    event(type, f, `[${key} ${f === "write" ? value : type === "ok" ? registers.get(key) ?? "nil" : "nil"}]`, processes[w], took,
      type === "ok" ? "" : type === "fail" ? '[:refused "n1"]' : ':timeout');
    if (type === "info") processes[w] += workers;
    open[w] = null;
  };
  // Completions are written in the order of workers, so each is kept until its worker is asked again, and its time then.
  for (let i = 0; i < count; i++) {
    const w = i % workers;
    now = Math.floor(now - Math.log(1 - random()) * gap);
    if (open[w]) end(w);
    const f = random() < 0.5 ? "read" : "write", key = Math.floor(i / 400) * 4 + (w % 4);
    open[w] = { f, key, value: i % 97, begun: now, bad: now > 20e9 && now < 30e9 };
    event("invoke", f, `[${key} ${f === "write" ? open[w].value : "nil"}]`, processes[w], now);
  }
  for (let w = 0; w < workers; w++) if (open[w]) end(w);
}

// A store of three thousand runs with the same results, under ROOM/many.
function many(results) {
  for (let i = 0; i < 3000; i++) {
    const two = (n) => String(n).padStart(2, "0"), run = `${process.env.ROOM}/many/test-${i % 7}/20261121T08${two(Math.floor(i / 60))}${two(i % 60)}.000Z`;
    mkdirSync(run, { recursive: true });
    linkSync(results, `${run}/results.json`);
  }
}

({ cycle, logged, hostile, large, many })[process.argv[2]](process.argv[3]);
flush();
