// What results.json holds is what docs/results.schema.json says; and the schema does say something.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import Ajv from "ajv";

const ROOM = process.env.ROOM, ajv = new Ajv({ allErrors: true, allowUnionTypes: true });
const validate = ajv.compile(JSON.parse(readFileSync(`${process.env.ORDEAL_SOURCE}/docs/results.schema.json`, "utf8")));
const read = (run) => JSON.parse(readFileSync(`${ROOM}/runs/${run}/results.json`, "utf8"));

for (const run of readdirSync(`${ROOM}/runs`))
  test(`results of ${run}`, () => assert.ok(validate(read(run)), JSON.stringify(validate.errors?.slice(0, 3))));

test("results that are wrong are refused", () => {
  const wrong = [
    (r) => delete r.valid, (r) => (r.valid = "false"), (r) => (r.checkers.linearizable.reason = ""), (r) => (r.checkers.linearizable.anomalies[0].events = [-1]),
    (r) => delete r.checkers.linearizable.anomalies[0].title, (r) => (r.problems = [1]), (r) => (r.faults = [{ nemesis: "kill" }]), (r) => (r.test = { started: "today" })];
  for (const spoil of wrong) {
    const results = read("stale");
    spoil(results);
    assert.ok(!validate(results), String(spoil));
  }
});
