// A browser whose pages must keep quiet: no error on the console, no request that leaves.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

export const ROOM = process.env.ROOM;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export async function launch() {
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args });
}

// Opens a page; `quiet()` fails if it complained or asked for more than itself.
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage(), complaints = [], home = new URL(url);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => {
    const asked = new URL(request.url());
    const leaves = home.protocol === "file:" ? asked.pathname !== home.pathname : asked.origin !== home.origin;
    if (leaves && !["data:", "blob:"].includes(asked.protocol)) complaints.push(`asked for ${request.url()}`);
  });
  await page.goto(url, { waitUntil: "load" });
  return { page, context, quiet: () => assert.deepEqual(complaints, []) };
}

export const report = (name) => `file://${ROOM}/runs/${name}/report.html`;
export const ready = (page) => page.waitForSelector("#timeline-app[data-ready=yes][data-settled=yes]");
export const picture = (page, name) => page.screenshot({ path: `${ROOM}/pictures/${name}.png`, fullPage: true });

// No finding that axe calls serious or critical. The page's policy lets no script in from outside, so axe comes by the
// debugger's door, as Playwright's own scripts do.
export async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  assert.deepEqual(serious.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`), []);
}
