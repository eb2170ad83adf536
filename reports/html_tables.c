/* The later sections of report.html: the run at a glance, operations, crashes, problems and the
 * plan. */
#include <inttypes.h>
#include <string.h>

#include "reports/html.h"
#include "reports/visible.h"

enum { ROWS_MAX = 200, PLAN_BYTES_MAX = 200000, VALUE_COLUMNS = 120 };

/* ---- At a glance ---- */

static void term(struct html *html, const char *name, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    buf_printf(&html->out, "<dt>%s</dt><dd>", name);
    html_text(html, text);
    html_raw(html, "</dd>\n");
}

/* "20261121T083015.123Z" as people write it. */
static const char *readable_time(struct arena *arena, const char *stamp)
{
    if (stamp == NULL || strlen(stamp) < 16 || stamp[8] != 'T')
        return stamp;
    return arena_printf(arena, "%.4s-%.2s-%.2s %.2s:%.2s:%.2s UTC", stamp, stamp + 4, stamp + 6,
                        stamp + 9, stamp + 11, stamp + 13);
}

static void figures(struct html *html)
{
    struct digest *digest = &html->digest;
    const struct json *test = json_get(digest->run->results, "test");
    struct arena *arena = &digest->arena;
    double duration_s = json_as_real(json_get(test, "duration-s"), -1);
    if (duration_s >= 0)
        term(html, "Lasted", arena_printf(arena, "%.1f s", duration_s));
    struct buf text = BUF_INIT;
    digest_number(&text, digest->total[OP_INVOKE]);
    buf_add_text(&text, " of ");
    digest_number(&text, digest->process_count);
    buf_add_text(&text, digest->process_count == 1 ? " process" : " processes");
    if (digest->total[OP_INVOKE] > 0 && digest->process_count > 0)
        term(html, "Operations", text.data);
    buf_free(&text);
    if (json_kind(json_get(test, "concurrency")) == JSON_NUMBER)
        term(html, "At once",
             arena_printf(arena, "%" PRId64 " clients",
                          json_as_int(json_get(test, "concurrency"), 0)));
    if (json_kind(json_get(test, "seed")) == JSON_NUMBER)
        term(html, "Seed", arena_printf(arena, "%" PRId64, json_as_int(json_get(test, "seed"), 0)));
    if (json_as_bool(json_get(test, "interrupted"), false))
        term(html, "Interrupted", "yes: it ended before its time");
}

static void command(struct html *html, const char *name, const char *text)
{
    if (text == NULL)
        return;
    buf_printf(&html->out, "<dt>%s</dt><dd><code>", name);
    html_text(html, text);
    html_raw(html, "</code></dd>\n");
}

void html_glance(struct html *html)
{
    struct digest *digest = &html->digest;
    struct arena *arena = &digest->arena;
    const struct json *test = json_get(digest->run->results, "test");
    html_section(html, "glance", "The run at a glance");
    html_raw(html, "<dl>\n");
    term(html, "Test", digest_test_text(digest, "name"));
    term(html, "Workload", digest_test_text(digest, "workload"));
    term(html, "System", digest_test_text(digest, "system"));
    term(html, "Version", json_as_text(json_get(test, "system-version"), NULL));
    term(html, "Nodes", digest_join(arena, json_get(test, "nodes")));
    term(html, "Faults", digest_join(arena, json_get(test, "nemeses")));
    term(html, "Began", readable_time(arena, json_as_text(json_get(test, "started"), NULL)));
    term(html, "Ended", readable_time(arena, json_as_text(json_get(test, "ended"), NULL)));
    figures(html);
    term(html, "ordeal", json_as_text(json_get(test, "ordeal-version"), NULL));
    command(html, "Command", json_as_text(json_get(test, "command"), NULL));
    command(html, "Again", json_as_text(json_get(test, "run-again"), NULL));
    html_raw(html, "</dl>\n");
    if (test == NULL && digest->run->plan == NULL)
        html_note(html, "Nothing is known of how this history was made.");
    if (digest->run->directory != NULL)
        html_raw(html,
                 "<p class=\"quiet\">Beside this page in the run&#39;s directory: "
                 "<a href=\"history.edn\">history.edn</a> (unless it would be very large), "
                 "<a href=\"history.ordeal\">history.ordeal</a>, "
                 "<a href=\"results.json\">results.json</a>, "
                 "<a href=\"schedule.jsonl\">schedule.jsonl</a>, "
                 "<a href=\"plan.json\">plan.json</a>, <a href=\"ordeal.log\">ordeal.log</a>, and "
                 "the systems&#39; own logs under <a href=\"nodes/\">nodes/</a>.</p>\n");
    html_section_end(html);
}

/* ---- Operations ---- */

void html_operations(struct html *html)
{
    const struct digest *digest = &html->digest;
    static const char *const columns[] = {"Function", ">All", ">ok", ">fail", ">info", NULL};
    html_section(html, "operations", "Operations");
    if (digest->function_count == 0) {
        html_note(html, "The history has no client operations.");
        html_section_end(html);
        return;
    }
    html_table(html, "Operations by function and outcome", columns);
    for (size_t i = 0; i < digest->function_count && i < ROWS_MAX; i++) {
        html_row(html);
        html_head_cell(html, digest->functions[i].name);
        for (int outcome = 0; outcome < DIGEST_OUTCOMES; outcome++)
            html_number_cell(html, digest->functions[i].count[outcome]);
        html_row_end(html);
    }
    html_raw(html, "<tr class=\"total\">");
    html_head_cell(html, "all");
    for (int outcome = 0; outcome < DIGEST_OUTCOMES; outcome++)
        html_number_cell(html, digest->total[outcome]);
    html_row_end(html);
    html_table_end(html);
    if (digest->function_count > ROWS_MAX)
        html_note(html, "%zu functions that were used less are left out.",
                  digest->function_count - ROWS_MAX);
    html_section_end(html);
}

/* ---- Crashes ---- */

static void crash_row(struct html *html, uint32_t event)
{
    const struct history *history = html->digest.run->history;
    struct value exit = history->value[event];
    struct value node = value_get(exit, "node"), name = value_get(exit, "name");
    html_row(html);
    html_time_cell(html, history->time_ns[event]);
    html_cell(html, value_as_text(node));
    html_cell(html, value_as_text(name));
    html_raw(html, "<td class=\"wide\">");
    html_text(html, history_f_name(history, event));
    html_raw(html, " ");
    html_value(html, exit, VALUE_COLUMNS);
    html_raw(html, "</td>");
    html_row_end(html);
}

void html_crashes(struct html *html)
{
    const struct history *history = html->digest.run->history;
    static const char *const columns[] = {">When", "Node", "Daemon", "How", NULL};
    size_t asked = 0, unasked = 0;
    html_section(html, "crashes", "Crashes");
    for (uint32_t i = 0; i < history->count; i++) {
        if (history->process[i] != PROCESS_DAEMON)
            continue;
        if (digest_exit_asked(history, i)) {
            asked++;
            continue;
        }
        if (unasked++ == 0)
            html_table(html, "What daemons did unasked", columns);
        if (unasked <= ROWS_MAX)
            crash_row(html, i);
    }
    if (unasked > 0)
        html_table_end(html);
    if (unasked > ROWS_MAX)
        html_note(html, "%zu more are in the history.", unasked - ROWS_MAX);
    if (unasked == 0)
        html_note(html, "No daemon died unasked.");
    if (asked > 0)
        html_note(html, "%zu %s asked for, by a fault or by the end of the run.", asked,
                  asked == 1 ? "death was" : "deaths were");
    html_section_end(html);
}

/* ---- Problems ---- */

static void list(struct html *html, const struct json *sentences)
{
    size_t count = 0;
    html_raw(html, "<ul>\n");
    for (const struct json *one = json_first(sentences); one != NULL; one = json_next(one)) {
        if (count++ >= ROWS_MAX)
            continue;
        html_raw(html, "<li>");
        html_text(html, json_as_text(one, "a problem without words"));
        html_raw(html, "</li>\n");
    }
    html_raw(html, "</ul>\n");
    if (count > ROWS_MAX)
        html_note(html, "%zu more are in results.json.", count - ROWS_MAX);
}

void html_problems(struct html *html)
{
    const struct json *results = html->digest.run->results;
    html_section(html, "problems", "Problems of the harness itself");
    if (json_count(json_get(results, "problems")) == 0)
        html_note(html, "None.");
    else
        list(html, json_get(results, "problems"));
    if (json_count(json_get(results, "notes")) > 0) {
        html_raw(html, "<h3>Notes</h3>\n");
        list(html, json_get(results, "notes"));
    }
    if (html->digest.run->history->cut != NULL)
        html_note(html, "%s", html->digest.run->history->cut);
    html_section_end(html);
}

/* ---- The plan ---- */

void html_plan(struct html *html)
{
    const struct json *plan = html->digest.run->plan;
    html_section(html, "plan", "The plan");
    if (plan == NULL) {
        html_note(html, "There is none: a history was judged on its own.");
    } else {
        struct buf text = BUF_INIT;
        json_print(plan, JSON_PRETTY, &text);
        size_t shown = visible_fit(text.data, text.length, PLAN_BYTES_MAX);
        html_raw(html, "<details><summary>The whole plan, with every default filled "
                       "in</summary>\n<pre>");
        markup_add(&html->out, text.data, shown, VISIBLE_PROSE);
        html_raw(html, shown < text.length ? "&hellip;</pre></details>\n" : "</pre></details>\n");
        buf_free(&text);
    }
    html_section_end(html);
}
