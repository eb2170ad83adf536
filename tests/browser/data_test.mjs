// What a page carries is what its history says: every operation, read back from the page and from the history.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const { load } = await import(`${process.env.ORDEAL_SOURCE}/reports/page/data.js`);
const ROOM = process.env.ROOM, OUTCOMES = { ok: 0, fail: 1, info: 2 };

async function carried(name) {
  const page = readFileSync(`${ROOM}/runs/${name}/report.html`, "utf8");
  return load(/<script type="text\/plain" id="ordeal-data">([^<]*)</.exec(page)[1]);
}

// Operations in the order of invocation: {process, f, outcome, begin, end, key}.
function recorded(name) {
  const path = `${ROOM}/runs/${name}/history.jsonl`, operations = [], open = new Map();
  execFileSync(process.env.ORDEAL, ["convert", `${ROOM}/runs/${name}/history.ordeal`, path], { stdio: "ignore" });
  for (const line of readFileSync(path, "utf8").trim().split("\n")) {
    const event = JSON.parse(line);
    if (typeof event.process !== "number") continue;
    if (event.type === "invoke") {
      const operation = { process: event.process, f: event.f, outcome: 3, begin: event.time, end: null, value: event.value };
      operations.push(operation);
      open.set(event.process, operation);
    } else {
      const operation = open.get(event.process);
      Object.assign(operation, { outcome: OUTCOMES[event.type], end: event.time, value: event.type === "ok" ? event.value : operation.value });
    }
  }
  return operations;
}

for (const name of ["stale", "cycle", "lost", "hostile", "medium"])
  test(`${name}: the page carries the history`, async () => {
    const model = await carried(name), operations = recorded(name), quantum = model.header["quantum-ns"];
    assert.equal(model.count, operations.length);
    assert.equal(model.rounded, name === "medium");
    operations.forEach((operation, i) => {
      const { process, f, outcome, begin, end } = operation;
      assert.equal(model.process[i], process, `process of ${i}`);
      assert.equal(model.header.functions[model.f[i]], f);
      assert.equal(model.outcome[i], outcome);
      assert.ok(Math.abs(model.begin[i] - begin) < quantum || quantum === 1 && model.begin[i] === begin, `begin of ${i}`);
      if (end !== null) assert.ok(Math.abs(model.end[i] - end) <= (model.rounded ? 3 * quantum + (end - begin) * 0.02 : 0), `end of ${i}: ${model.end[i]} for ${end}`);
      if (name === "medium") assert.equal(model.header.keys[model.keys[model.keyStart[i]] - 1], String(operation.value[0]));
    });
  });

test("medium: values are whole, lanes are in order", async () => {
  const model = await carried("medium"), operations = recorded("medium");
  for (let i = 0; i < model.count; i += 997) {
    const [key, value] = operations[i].value;
    assert.equal(model.value(i), `[${key} ${value === null ? "nil" : value}]`);
  }
  for (let k = 0; k < model.laneCount; k++)
    for (let j = model.laneStart[k] + 1; j < model.laneStart[k + 1]; j++) assert.ok(model.begin[model.byLane[j - 1]] <= model.begin[model.byLane[j]]);
});
