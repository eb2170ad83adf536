/* What the pages of ordeal serve share, and the small ones among them. */
#include "reports/serve/pages.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "reports/visible.h"

void pages_begin(struct buf *out, const char *title)
{
    buf_add_text(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
                      "<title>");
    markup_add_text(out, title);
    buf_add_text(out, "</title>\n<link rel=\"stylesheet\" href=\"/style.css\">\n"
                      "<link rel=\"icon\" href=\"data:,\">\n</head>\n<body>\n"
                      "<a class=\"skip\" href=\"#main\">To the content</a>\n<header>"
                      "<p class=\"brand\"><a href=\"/\">ordeal</a></p>\n<h1>");
    markup_add_text(out, title);
    buf_add_text(out, "</h1></header>\n<main id=\"main\">\n");
}

void pages_end(struct buf *out)
{
    buf_add_text(out, "</main>\n<footer><p>ordeal " ORDEAL_VERSION "</p></footer>\n"
                      "</body>\n</html>\n");
}

void pages_url(struct buf *out, const char *text, enum url_part part)
{
    for (const unsigned char *c = (const unsigned char *)text; *c != '\0'; c++) {
        if ((*c < 128 && isalnum(*c)) || strchr("-._~", *c) != NULL ||
            (*c == '/' && part == URL_PATH))
            buf_add_char(out, (char)*c);
        else
            buf_printf(out, "%%%02X", *c);
    }
}

void pages_run_link(struct buf *out, const char *kind, const struct run_entry *entry)
{
    buf_printf(out, "/%s/", kind);
    pages_url(out, entry->test, URL_VALUE);
    buf_add_char(out, '/');
    pages_url(out, entry->time, URL_VALUE);
}

void pages_verdict(struct buf *out, const struct run_entry *entry)
{
    const char *word = run_state_word(entry);
    const char *class = entry->state == RUN_ENDED     ? word
                        : entry->state == RUN_DAMAGED ? "invalid"
                                                      : "";
    buf_printf(out, "<span class=\"badge %s\">%s</span>", class, word);
}

void pages_problem(unsigned status, const char *text, struct buf *out)
{
    char title[32];
    snprintf(title, sizeof title, "%u", status);
    pages_begin(out, title);
    buf_add_text(out, "<section><p>");
    markup_add_text(out, text);
    buf_add_text(out, "</p><p><a href=\"/\">All runs</a></p></section>\n");
    pages_end(out);
}

/* ---- One run ---- */

static void fact(struct buf *out, const char *name, const char *value)
{
    if (*value == '\0')
        return;
    buf_printf(out, "<dt>%s</dt><dd>", name);
    markup_add_text(out, value);
    buf_add_text(out, "</dd>");
}

static void facts(const struct run_entry *entry, struct buf *out)
{
    char number[32];
    buf_add_text(out, "<section><dl><dt>Verdict</dt><dd>");
    pages_verdict(out, entry);
    buf_add_text(out, "</dd>");
    fact(out, "Why", entry->problem != NULL ? entry->problem : entry->reason);
    fact(out, "System", entry->system);
    fact(out, "Workload", entry->workload);
    fact(out, "Nemeses", entry->nemeses);
    fact(out, "Seed", entry->seed);
    if (entry->duration_s >= 0) {
        snprintf(number, sizeof number, "%.1f s", entry->duration_s);
        fact(out, "Duration", number);
    }
    if (entry->event_count >= 0) {
        snprintf(number, sizeof number, "%" PRId64, entry->event_count);
        fact(out, "Events", number);
    }
    buf_add_text(out, "</dl>\n<p>");
    if (entry->state == RUN_GOING) {
        buf_add_text(out, "<a href=\"");
        pages_run_link(out, "live", entry);
        buf_add_text(out, "\">Watch it live</a> · ");
    }
    buf_add_text(out, "<a href=\"");
    pages_run_link(out, "archive", entry);
    buf_add_text(out, "\">All files as one archive</a></p></section>\n");
}

static void file_row(const struct run_entry *entry, const struct file_entry *file, struct buf *out)
{
    buf_add_text(out, "<tr><td><a href=\"");
    pages_run_link(out, "file", entry);
    buf_add_char(out, '/');
    pages_url(out, file->path, URL_PATH);
    buf_add_text(out, "\">");
    markup_add_text(out, file->path);
    buf_printf(out, "</a></td><td class=\"n\">%" PRId64 "</td></tr>\n", (int64_t)file->bytes);
}

void pages_run(const struct run_entry *entry, const struct file_entry *files, size_t file_count,
               struct buf *out)
{
    struct buf title = BUF_INIT;
    buf_printf(&title, "%s, %s", entry->test, entry->time);
    pages_begin(out, buf_text(&title));
    buf_free(&title);
    facts(entry, out);
    buf_add_text(out, "<section><h2>Files</h2><div class=\"scroll\"><table><thead><tr><th>File</th>"
                      "<th class=\"n\">Bytes</th></tr></thead><tbody>\n");
    for (size_t i = 0; i < file_count; i++)
        file_row(entry, &files[i], out);
    buf_add_text(out, "</tbody></table></div></section>\n");
    pages_end(out);
}

/* ---- A run that goes on ---- */

void pages_live(const struct run_entry *entry, struct buf *out)
{
    struct buf title = BUF_INIT;
    buf_printf(&title, "%s, live", entry->test);
    pages_begin(out, buf_text(&title));
    buf_free(&title);
    buf_add_text(out, "<section><dl id=\"live\" data-events=\"");
    pages_run_link(out, "events", entry);
    buf_add_text(
        out, "\"><dt>State</dt><dd><span id=\"state\" role=\"status\">waiting for the first news "
             "(this page needs scripts; <a href=\"");
    pages_run_link(out, "run", entry);
    buf_add_text(
        out,
        "\">the run's own page</a> does not)</span></dd>"
        "<dt>Elapsed</dt><dd id=\"elapsed\">-</dd><dt>Operations</dt><dd id=\"operations\">-</dd>"
        "<dt>Rate</dt><dd id=\"rate\">-</dd><dt>Latency</dt><dd id=\"latency\">-</dd>"
        "<dt>Faults</dt><dd id=\"faults\">-</dd><dt>Log</dt><dd id=\"log\">-</dd></dl>\n"
        "<figure><canvas id=\"chart\" width=\"900\" height=\"200\" role=\"img\" aria-label=\""
        "Completed operations a second over the run, with the faults as bands\"></canvas>"
        "<figcaption>Completed operations a second; shaded while a fault is in force."
        "</figcaption></figure></section>\n<script src=\"/live.js\"></script>\n");
    pages_end(out);
}

const char pages_style[] =
    "form.filter{display:flex;flex-wrap:wrap;gap:.5rem .75rem;align-items:end;margin:0 0 1rem}\n"
    "form.filter label{display:grid;gap:.15rem;font-size:.8rem;color:var(--soft)}\n"
    "input,select,button{font:inherit;font-size:.9rem;color:var(--ink);background:var(--ground);"
    "border:1px solid var(--line);border-radius:.3rem;padding:.25rem .5rem;max-width:12rem}\n"
    "button{cursor:pointer;color:var(--link);max-width:none}\n"
    "thead a{color:inherit}\n"
    ".cells{display:flex;flex-wrap:wrap;gap:2px;margin:0;padding:0;list-style:none}\n"
    ".cells a{display:block;width:.8rem;height:1rem;border-radius:2px;background:var(--odd);"
    "color:var(--paper);font:700 .65rem/1rem monospace;text-align:center;text-decoration:none}\n"
    ".cells .valid{background:var(--good)}\n.cells .invalid{background:var(--bad)}\n"
    "tr.differs>*{background:var(--odd-wash)}\n"
    "canvas{width:100%;height:auto;border:1px solid var(--line);border-radius:.35rem}\n";

const char pages_script[] =
    "'use strict';\n"
    "(function () {\n"
    "  const list = document.getElementById('live');\n"
    "  const put = (id, text) => { document.getElementById(id).textContent = text; };\n"
    "  const points = [];\n"
    "  const colour = (name) => getComputedStyle(document.documentElement)"
    ".getPropertyValue(name).trim();\n"
    "  function draw() {\n"
    "    const canvas = document.getElementById('chart'), pen = canvas.getContext('2d');\n"
    "    const width = canvas.width, height = canvas.height, base = height - 18;\n"
    "    pen.clearRect(0, 0, width, height);\n"
    "    const most = Math.max(1, ...points.map((p) => p.rate));\n"
    "    const step = width / Math.max(60, points.length);\n"
    "    pen.globalAlpha = 0.15;\n"
    "    pen.fillStyle = colour('--band');\n"
    "    points.forEach((p, i) => { if (p.fault) pen.fillRect(i * step, 0, step, base); });\n"
    "    pen.globalAlpha = 1;\n"
    "    pen.fillStyle = colour('--ok');\n"
    "    points.forEach((p, i) => {\n"
    "      const tall = p.rate / most * (base - 14);\n"
    "      pen.fillRect(i * step, base - tall, Math.max(1, step - 1), tall);\n"
    "    });\n"
    "    pen.fillStyle = colour('--soft');\n"
    "    pen.font = '12px sans-serif';\n"
    "    pen.fillText(Math.round(most) + ' /s', 2, 12);\n"
    "    pen.fillText('0 s', 2, height - 4);\n"
    "    pen.textAlign = 'right';\n"
    "    pen.fillText(points.length + ' s', Math.min(width, points.length * step + 30), "
    "height - 4);\n"
    "    pen.textAlign = 'left';\n"
    "  }\n"
    "  const news = new EventSource(list.dataset.events);\n"
    "  news.onmessage = (event) => {\n"
    "    const now = JSON.parse(event.data);\n"
    "    const ended = now.verdict !== undefined;\n"
    "    put('state', ended ? now.verdict + ': ' + (now.reason || '') : 'going on');\n"
    "    put('elapsed', now['elapsed-s'].toFixed(1) + ' s');\n"
    "    put('operations', now.ok + ' ok, ' + now.fail + ' fail, ' + now.info + ' info, ' + "
    "now.open + ' open');\n"
    "    put('rate', Math.round(now.rate) + ' a second');\n"
    "    put('latency', now['p50-ms'] === null ? 'nothing succeeded in the last second' :\n"
    "      'p50 ' + now['p50-ms'].toFixed(2) + ' ms, p99 ' + now['p99-ms'].toFixed(2) + ' ms');\n"
    "    put('faults', (now.faults.length ? now.faults.join(', ') + ' in force; ' : '') + "
    "now['faults-so-far'] + ' so far');\n"
    "    put('log', now.log || '');\n"
    "    if (ended) { news.close(); return; }\n"
    "    points.push({rate: now.rate, fault: now.faults.length > 0});\n"
    "    if (points.length > 900) points.shift();\n"
    "    draw();\n"
    "  };\n"
    "  news.onerror = () => { put('state', 'no news: the server is gone, or the run is'); };\n"
    "})();\n";
