/* The faults in report.html: what was asked, done, verified and undone, and what succeeded
 * meanwhile. */
#include <inttypes.h>
#include <string.h>

#include "reports/html.h"
#include "reports/visible.h"

enum { ROWS_MAX = 500, FUNCTIONS_MAX = 8 };

static void plain(struct html *html, const char *edn)
{
    struct buf text = BUF_INIT;
    digest_plain(&text, edn);
    html_text(html, buf_text(&text));
    buf_free(&text);
}

static void small(struct html *html, const char *before, const char *text)
{
    if (*text == '\0')
        return;
    html_raw(html, "<small>");
    html_raw(html, before);
    html_text(html, text);
    html_raw(html, "</small>");
}

static void phase_cell(struct html *html, const struct digest_fault *fault,
                       const struct digest_phase *phase)
{
    bool begin = phase == &fault->begin, guessed = html->digest.faults_guessed;
    html_raw(html, "<td class=\"phase\">");
    if (!phase->present && begin) {
        html_raw(html, "&ndash;");
    } else if (!phase->present) {
        html_raw(html, fault->failed ? "&ndash;" : "<span class=\"warn\">not undone</span>");
    } else {
        html_raw(html, begin && fault->failed ? "<span class=\"warn\">failed</span>"
                       : guessed              ? "not known"
                       : phase->verified      ? "verified"
                                              : "<span class=\"warn\">not verified</span>");
        small(html, "", phase->evidence);
        if (phase->asked_ns >= 0 && phase->done_ns >= phase->asked_ns) {
            html_raw(html, "<small>took ");
            digest_duration(&html->out, phase->done_ns - phase->asked_ns);
            html_raw(html, "</small>");
        }
    }
    if (begin)
        small(html, "", fault->error);
    html_raw(html, "</td>");
}

/* On whom it was, who led then, and how busy the clients were. */
static void where_cell(struct html *html, const struct digest_fault *fault)
{
    html_raw(html, "<td>");
    html_text(html, fault->nodes);
    small(html, "led: ", fault->primaries);
    if (fault->in_flight >= 0) {
        html_raw(html, "<small>in flight: ");
        digest_number(&html->out, (uint64_t)fault->in_flight);
        html_raw(html, "</small>");
    }
    html_raw(html, "</td>");
}

static void fault_row(struct html *html, const struct digest_fault *fault)
{
    html_row(html);
    buf_printf(&html->out, "<td class=\"n\">%" PRId64 "</td>", fault->id);
    html_head_cell(html, fault->nemesis);
    html_raw(html, "<td class=\"wide\">");
    plain(html, fault->asked);
    if (*fault->done != '\0' && strcmp(fault->done, "nil") != 0 &&
        strcmp(fault->done, fault->asked) != 0) {
        html_raw(html, "<small>done: ");
        plain(html, fault->done);
        html_raw(html, "</small>");
    }
    html_raw(html, "</td>");
    where_cell(html, fault);
    html_time_cell(html, fault->from_ns);
    html_time_cell(html, fault->failed ? -1 : fault->to_ns);
    phase_cell(html, fault, &fault->begin);
    phase_cell(html, fault, &fault->end);
    html_row_end(html);
}

void html_faults(struct html *html)
{
    const struct digest *digest = &html->digest;
    static const char *const columns[] = {">No.", "Nemesis", "Asked for", "Where", ">From",
                                          ">To",  "Begun",   "Undone",    NULL};
    html_section(html, "faults", "Faults");
    if (digest->fault_count == 0) {
        html_note(html, "No fault was injected.");
        html_section_end(html);
        return;
    }
    html_table(html, "Each fault: from when it took effect to when it was undone", columns);
    for (size_t i = 0; i < digest->fault_count && i < ROWS_MAX; i++)
        fault_row(html, &digest->faults[i]);
    html_table_end(html);
    if (digest->fault_count > ROWS_MAX)
        html_note(html, "%zu more are in results.json.", digest->fault_count - ROWS_MAX);
    for (const struct json *one = digest_coverage(digest); one != NULL; one = json_next(one)) {
        struct buf text = BUF_INIT;
        digest_coverage_line(one, &text);
        html_note(html, "%s", buf_text(&text));
        buf_free(&text);
    }
    if (digest->faults_guessed)
        html_note(html, "Read from the history's own events: whether a fault took effect is not "
                        "known.");
    html_section_end(html);
}

/* ---- Availability ---- */

static void optional_duration_cell(struct html *html, const struct json *window, const char *name)
{
    html_duration_cell(html, json_as_int(json_get(window, name), -1));
}

/* "read 1 204 ok of 1 210 (240.8/s; usually 260.1/s)", a line each. */
static void functions_cell(struct html *html, const struct json *by_f)
{
    size_t count = 0;
    html_raw(html, "<td class=\"wide\">");
    for (const struct json *one = json_first(by_f); one != NULL; one = json_next(one)) {
        if (count++ >= FUNCTIONS_MAX)
            continue;
        if (count > 1)
            html_raw(html, "<br>");
        int64_t ok = json_as_int(json_get(one, "ok-count"), 0);
        html_raw(html, ok == 0 ? "<span class=\"warn\">" : "<span>");
        html_text(html, json_key(one) != NULL ? json_key(one) : "?");
        html_raw(html, ": ");
        digest_number(&html->out, (uint64_t)(ok < 0 ? 0 : ok));
        int64_t all = json_as_int(json_get(one, "count"), -1);
        html_raw(html, " ok");
        if (all >= 0) {
            html_raw(html, " of ");
            digest_number(&html->out, (uint64_t)all);
        }
        html_raw(html, "</span>");
        double rate = json_as_real(json_get(one, "ok-rate"), -1);
        double usual = json_as_real(json_get(one, "usual-ok-rate"), -1);
        if (rate >= 0 && usual >= 0)
            buf_printf(&html->out, " <span class=\"quiet\">%.3g/s, usually %.3g/s</span>", rate,
                       usual);
    }
    if (count > FUNCTIONS_MAX)
        buf_printf(&html->out, "<br>and %zu more", count - FUNCTIONS_MAX);
    html_raw(html, count == 0 ? "&ndash;</td>" : "</td>");
}

static void window_row(struct html *html, const struct json *window)
{
    const char *nemesis = json_as_text(json_get(window, "nemesis"), NULL);
    const char *missing = digest_join(&html->digest.arena, json_get(window, "missing"));
    html_row(html);
    buf_printf(&html->out, "<td class=\"n\">%" PRId64 "</td>",
               json_as_int(json_get(window, "fault"), 0));
    html_head_cell(html, nemesis != NULL ? nemesis : json_as_text(json_get(window, "f"), "?"));
    html_time_cell(html, json_as_int(json_get(window, "from-ns"), -1));
    html_time_cell(html, json_as_int(json_get(window, "to-ns"), -1));
    functions_cell(html, json_get(window, "by-f"));
    html_raw(html, *missing != '\0' ? "<td class=\"warn\">" : "<td>");
    html_text(html, *missing != '\0' ? missing : "nothing");
    html_raw(html, "</td>");
    optional_duration_cell(html, window, "longest-gap-ns");
    optional_duration_cell(html, window, "first-ok-after-ns");
    optional_duration_cell(html, window, "recovered-after-ns");
    html_row_end(html);
}

void html_availability(struct html *html)
{
    const struct json *checker =
        json_get(json_get(html->digest.run->results, "checkers"), "availability");
    const struct json *windows = json_get(checker, "windows");
    static const char *const columns[] = {">No.",
                                          "Nemesis",
                                          ">From",
                                          ">To",
                                          "Succeeded",
                                          "Missing",
                                          ">Longest gap",
                                          ">First ok after",
                                          ">Usual rate after",
                                          NULL};
    size_t count = 0;
    html_section(html, "availability", "Availability during faults");
    if (json_count(windows) == 0) {
        html_note(html, "%s",
                  checker == NULL ? "It was not measured (the checker is called "
                                    "availability)."
                                  : json_as_text(json_get(checker, "reason"), "None."));
        html_section_end(html);
        return;
    }
    html_recovery(html, windows, json_as_real(json_get(checker, "usual-ok-rate"), -1));
    html_table(html, "What succeeded wholly within each fault, and how the system came back",
               columns);
    for (const struct json *one = json_first(windows); one != NULL; one = json_next(one))
        if (count++ < ROWS_MAX)
            window_row(html, one);
    html_table_end(html);
    if (count > ROWS_MAX)
        html_note(html, "%zu more are in results.json.", count - ROWS_MAX);
    html_section_end(html);
}
