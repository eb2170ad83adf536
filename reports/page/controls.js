// What is shown, and the operations that were found, as a list.

import { OUTCOMES } from "./data.js";
import { button, calmly, element } from "./dom.js";
import { duration, number } from "./format.js";

const FUNCTIONS_MAX = 24, LISTED_MAX = 60, TYPING_MS = 180;

function boxes(legend, names, changed) {
  const inputs = names.map((name) => element("input", { type: "checkbox", checked: true, on: { change: changed } }));
  const set = element("fieldset", {}, element("legend", {}, legend), ...names.map((name, i) => element("label", {}, inputs[i], ` ${name}`)));
  const all = () => inputs.every((input) => input.checked);
  return { set, inputs, value: () => (all() ? null : new Set(inputs.flatMap((input, i) => (input.checked ? [i] : [])))) };
}

const field = (label, properties, changed) => {
  const input = element("input", { type: "search", autocomplete: "off", spellcheck: false, ...properties, on: { input: changed } });
  return { input, label: element("label", { className: "field" }, label, input) };
};

// A form; `changing` is called at once, `changed` with the filter.
export function filterForm(model, changing, changed) {
  const { header } = model, tell = () => (changing(), changed(read())), later = calmly(tell, TYPING_MS);
  const slowly = () => (changing(), later());
  const outcomes = boxes("Outcome", OUTCOMES, tell);
  const many = header.functions.length > FUNCTIONS_MAX;
  const functions = boxes("Function", many ? [] : header.functions, tell);
  const process = field("Process", { size: 7, placeholder: "all", title: "its number; 3* is whatever worker 3 did" }, slowly);
  const key = field("Key", { size: 9, placeholder: "all" }, slowly);
  const search = field(header.values === "all" ? "Search values, errors, functions" : "Search errors, functions", { size: 20 }, slowly);
  const read = () => ({ functions: many ? null : functions.value(), outcomes: outcomes.value(), process: process.input.value.trim(),
    key: key.input.value.trim(), search: search.input.value.trim() });
  const clear = button("Clear", "Show everything again", () => {
    for (const input of [...outcomes.inputs, ...functions.inputs]) input.checked = true;
    for (const one of [process, key, search]) one.input.value = "";
    tell();
  });
  const form = element("form", { className: "filter", on: { submit: (event) => event.preventDefault() } }, outcomes.set,
    many ? null : functions.set, element("div", { className: "fields" }, process.label, model.keys ? key.label : null, search.label, clear));
  return { form, set(name, value) {
    ({ process, key, search })[name].input.value = value;
    tell();
  } };
}

export function toolbar(view) {
  return element("div", { className: "tools", role: "group", "aria-label": "Move about in time" },
    button("−", "Zoom out", () => view.zoom(2)), button("+", "Zoom in", () => view.zoom(0.5)),
    button("◀", "Earlier", () => view.pan(-0.4)), button("▶", "Later", () => view.pan(0.4)), button("All", "The whole run", () => view.all()));
}

// The operations in sight, by when they began; each leads to its place.
export class List {
  constructor(place, model, view, timeline, choose, settled) {
    Object.assign(this, { model, view, timeline, choose });
    this.count = element("p", { className: "note", role: "status" });
    this.body = element("tbody", { id: "timeline-list" });
    const heads = ["Process", "Function", "Value", "Outcome", "Began", "Took"].map((text) => element("th", { scope: "col" }, text));
    const table = element("table", {}, element("caption", {}, "Operations in sight"), element("thead", {}, element("tr", {}, ...heads)), this.body);
    this.details = element("details", { on: { toggle: () => this.fill() } }, element("summary", {}, "List the operations in sight"),
      element("div", { className: "scroll", role: "region", tabIndex: 0, "aria-label": "Operations in sight" }, table));
    place.append(this.count, this.details);
    this.update = calmly(() => (this.fill(), settled()), 120); // after all others
  }

  found() {
    const { model, view, shown } = this, listed = [];
    let count = 0;
    for (let i = 0; i < model.count && model.begin[i] <= view.to; i++) {
      if (!shown[i] || model.end[i] < view.from) continue;
      if (count++ < LISTED_MAX) listed.push(i);
    }
    return { listed, count };
  }

  fill() {
    const { model } = this, { listed, count } = this.found(), { header } = model;
    const sampled = model.weight ? ` (of the run's ${number(header.total)} operations the page carries ${number(model.count)})` : "";
    this.count.textContent = `${number(count)} of ${number(model.count)} operations in sight${sampled}`;
    if (!this.details.open) return;
    this.body.replaceChildren(...listed.map((i) => this.row(i)));
  }

  row(i) {
    const told = this.timeline.describe(i), cell = (text) => element("td", {}, text);
    const show = element("button", { type: "button", className: "link", title: "Show it in the timeline", on: { click: () => this.choose(i, true) } }, `process ${told.process}`);
    return element("tr", {}, element("th", { scope: "row" }, show), cell(told.f), element("td", {}, element("code", {}, told.value)),
      cell(told.error ? `${told.outcome}: ${told.error}` : told.outcome), cell(told.from), cell(told.open ? "–" : duration(told.took)));
  }
}
