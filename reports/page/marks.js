// Marks of the timeline: what somebody wanted to be seen, in a row of its own between the faults and the processes.

import { element } from "./dom.js";
import { duration, moment } from "./format.js";

export const MARK_ROW = 15;
const NEAR = 6, LINES_MAX = 80;

export const marksOf = (model) => model.header.marks ?? [];

const inSight = (mark, view) => mark["from-ns"] <= view.to && mark["to-ns"] >= view.from;
const lasts = (mark) => mark["to-ns"] > mark["from-ns"];

// What lasted is a bar, points are triangles over the bars with a thin line down through the processes. How many are in sight.
export function drawMarks(timeline, left, y, bottom) {
  const { context, colours, view, model, width } = timeline, marks = marksOf(model).filter((mark) => inSight(mark, view));
  const points = marks.filter((mark) => !lasts(mark)), lines = marks.length <= LINES_MAX;
  const colour = (mark) => (context.fillStyle = mark.kind === "crash" ? colours.bad : colours.ink);
  context.globalAlpha = 0.45;
  for (const mark of marks.filter(lasts)) {
    const x = Math.max(left, timeline.x(mark["from-ns"])), end = Math.min(width, timeline.x(mark["to-ns"]));
    colour(mark);
    context.fillRect(x, y + 4, Math.max(2, end - x), 6);
  }
  for (const mark of lines ? points : []) {
    context.globalAlpha = 0.35;
    colour(mark);
    context.fillRect(timeline.x(mark["from-ns"]) - 0.5, y + 11, 1, bottom - y - 11);
  }
  context.globalAlpha = 1;
  context.strokeStyle = colours.paper;
  for (const mark of points) {
    colour(mark);
    drawPoint(context, timeline.x(mark["from-ns"]), y);
  }
  return marks.length;
}

function drawPoint(context, x, y) {
  context.beginPath();
  context.moveTo(x - 4.5, y + 2);
  context.lineTo(x + 4.5, y + 2);
  context.lineTo(x, y + 11);
  context.closePath();
  context.stroke();
  context.fill();
}

// The place of the mark at a point of the row, -1 for none: points before what lasts, which may lie under them; then the
// nearest, then the shortest.
export function markAt(timeline, x) {
  const { model, view } = timeline, near = marksOf(model).flatMap((mark, i) => {
    const off = Math.max(0, timeline.x(mark["from-ns"]) - x, x - timeline.x(mark["to-ns"]));
    return inSight(mark, view) && off < NEAR ? [{ i, off, span: mark["to-ns"] - mark["from-ns"] }] : [];
  });
  near.sort((a, b) => (a.span > 0) - (b.span > 0) || a.off - b.off || a.span - b.span || a.i - b.i);
  return near[0]?.i ?? -1;
}

export function describeMark(place, model, view, i) {
  const mark = marksOf(model)[i], at = moment(mark["from-ns"], (view.to - view.from) / 1000, model.header.timed);
  place.replaceChildren(element("p", {}, element("strong", {}, mark.kind), ` · ${mark.where ? mark.where + " · " : ""}`, mark.text,
    ` · ${lasts(mark) ? "from" : "at"} ${at}${lasts(mark) ? `, lasted ${duration(mark["to-ns"] - mark["from-ns"])}` : ""}`));
}

// The links of the marks' table: to where each is, and what it says.
export function linkMarks(model, view, tell) {
  for (const link of document.querySelectorAll("a[data-mark]")) {
    const i = Number(link.dataset.mark), mark = marksOf(model)[i];
    if (!mark) continue;
    link.addEventListener("click", () => {
      const room = Math.max((mark["to-ns"] - mark["from-ns"]) * 0.5, 5e8);
      view.set(mark["from-ns"] - room, mark["to-ns"] + room);
      tell(i);
    });
  }
}
