// The page's timeline: everything that report.html does with scripts on. Without them the page is complete but for this.

import { load } from "./data.js";
import { apply } from "./filter.js";
import { Charts } from "./charts.js";
import { filterForm, List, toolbar } from "./controls.js";
import { button, element, calmly } from "./dom.js";
import { duration, number } from "./format.js";
import { describeMark, linkMarks } from "./marks.js";
import { Timeline } from "./timeline.js";
import { View } from "./view.js";

const NOTHING = { functions: null, outcomes: null, process: "", key: "", search: "" };

function palette() {
  const style = getComputedStyle(document.documentElement), read = (name) => style.getPropertyValue(`--${name}`).trim();
  const rgb = (colour) => {
    const context = element("canvas", { width: 1, height: 1 }).getContext("2d");
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data.subarray(0, 3)];
  };
  const outcome = [read("ok"), read("fail"), read("info")];
  return { outcome, rgb: outcome.map(rgb), ink: read("ink"), soft: read("soft"), line: read("line"), paper: read("paper"), bad: read("bad"),
    band: read("band"), fail: read("fail"), info: read("info") };
}

// What was pointed at, in words, and where to go from there.
function describe(place, timeline, form, i) {
  if (i < 0) return place.replaceChildren();
  const told = timeline.describe(i), { model } = timeline, keys = [];
  for (let j = model.keyStart?.[i]; j < model.keyStart?.[i + 1]; j++) if (model.keys[j] > 0) keys.push(model.header.keys[model.keys[j] - 1]);
  const words = `process ${told.process} · ${told.f} `;
  const rest = ` · ${told.outcome}${told.error ? ": " + told.error : ""} · from ${told.from}${told.open ? "" : `, took ${duration(told.took)}`}`;
  const anomalies = model.header.anomalies.filter(({ operations }) => operations.includes(i));
  place.replaceChildren(element("p", {}, words, element("code", {}, told.value), rest),
    element("p", { className: "next" }, button("only this process", "Show only this process", () => form.set("process", String(told.process))),
      ...keys.slice(0, 4).map((key) => button(`only key ${key}`, `Show only key ${key}`, () => form.set("key", key))),
      ...anomalies.map(({ number: n, title }) => element("a", { href: `#a${n}` }, `anomaly ${n}: ${title}`))));
}

function sampledNote(header) {
  if (header.count === header.total) return null;
  const every = (step, what) => (step > 1 ? `of ${what} every ${number(step)}th` : `all ${what}`);
  return element("p", { className: "note" }, `This run had ${number(header.total)} operations; here are ${number(header.count)} of them: all near an anomaly, `
    + `${every(header["odd-step"], "those that did not end ok")}, ${every(header.step, "the others")}. Rates count each as many as it stands for.`);
}

function roundedNote(model) {
  if (!model.rounded) return null;
  return element("p", { className: "note" }, `Times in this picture are rounded to ${duration(model.header["quantum-ns"])}, durations to 1 %; the tables have them exactly.`);
}

async function start() {
  const place = document.getElementById("timeline-app"), text = document.getElementById("ordeal-data");
  if (!place || !text || typeof DecompressionStream === "undefined") return;
  const model = await load(text.textContent), { header } = model;
  text.textContent = ""; // megabytes that nobody needs twice
  const view = new View(header["from-ns"], header["to-ns"]);
  const canvas = element("canvas", { tabIndex: 0, role: "img", className: "timeline",
    "aria-label": `Timeline of ${number(header.total)} operations by process. Arrow keys move, plus and minus zoom, 0 shows all; the list below it tells the operations in sight.` });
  const rate = element("div"), latency = element("div"), told = element("div", { className: "told", role: "status" }), list = element("div");
  const timeline = new Timeline(canvas, model, view, palette()), charts = new Charts({ rate, latency }, model, view, timeline.colours);
  const choose = (i, go) => {
    timeline.chosen = i;
    if (go && i >= 0) centre(i);
    describe(told, timeline, form, i);
    timeline.draw();
  };
  const centre = (i) => {
    const span = Math.max((model.end[i] - model.begin[i]) * 8, header.timed ? 1e6 : 20);
    view.set((model.begin[i] + model.end[i]) / 2 - span / 2, (model.begin[i] + model.end[i]) / 2 + span / 2);
  };
  const lister = new List(list, model, view, timeline, choose, () => (place.dataset.settled = "yes"));
  const show = (filter) => {
    const { shown } = apply(model, filter);
    lister.shown = shown;
    timeline.filter(shown);
    charts.filter(shown);
    lister.update();
  };
  const form = filterForm(model, () => (place.dataset.settled = "no"), show);
  timeline.onChoose = (i) => choose(i, false);
  timeline.onChooseMark = (i) => describeMark(told, model, view, i);
  place.replaceChildren(form.form, toolbar(view), ...[sampledNote(header), roundedNote(model)].filter(Boolean),
    element("div", { className: "chart" }, rate), element("div", { className: "chart" }, canvas), told, element("div", { className: "chart" }, latency), list);
  place.hidden = false;
  document.getElementById("timeline-off")?.remove();
  const fit = () => {
    timeline.resize();
    charts.make();
  };
  const tell = () => Object.assign(place.dataset, { from: view.from, to: view.to, settled: "no" });
  tell();
  view.onChange(() => {
    timeline.draw();
    charts.move();
    lister.update();
    tell();
  });
  lister.shown = charts.shown = new Uint8Array(model.count).fill(1);
  fit();
  show(NOTHING);
  window.addEventListener("resize", calmly(fit, 150));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    Object.assign(timeline.colours, palette());
    fit();
  });
  linkAnomalies(model, view, timeline);
  linkMarks(model, view, timeline.onChooseMark);
  place.dataset.ready = "yes";
}

// The links beside the anomalies: the stretch with all of its operations, which are marked.
function linkAnomalies(model, view, timeline) {
  for (const link of document.querySelectorAll("a[data-anomaly]")) {
    const anomaly = model.header.anomalies.find(({ number: n }) => String(n) === link.dataset.anomaly);
    if (!anomaly || anomaly.operations.length === 0) continue;
    link.addEventListener("click", () => {
      const from = Math.min(...anomaly.operations.map((i) => model.begin[i])), to = Math.max(...anomaly.operations.map((i) => model.end[i]));
      const room = Math.max((to - from) * 0.25, model.header.timed ? 1e5 : 3);
      timeline.marked = new Set(anomaly.operations);
      view.set(from - room, to + room);
      timeline.draw();
    });
  }
}

start().catch((error) => {
  const note = document.getElementById("timeline-off");
  if (note) note.textContent = `The timeline could not be drawn: ${error.message}`;
  throw error;
});
