/* report.html: one file that needs nothing else. No network; the policy in its head allows its own
 * style sheet and its own script, by their hashes, and nothing more. Without scripts it lacks the
 * timeline to zoom and search in, and nothing that is told. */
#include "reports/html.h"
#include "harness/remote/sha256.h"
#include "reports/page_pack.h"
#include "reports/reports.h"
#include "reports/visible.h"

#include <string.h>

/* " 'sha256-...'" of one or two texts behind each other: what the policy lets in, and nothing else.
 */
static void add_hash(struct html *html, const char *first, const char *second)
{
    struct sha256 sha;
    unsigned char digest[SHA256_BYTES];
    sha256_begin(&sha);
    sha256_add(&sha, first, strlen(first));
    sha256_add(&sha, second, strlen(second));
    sha256_end(&sha, digest);
    html_raw(html, " 'sha256-");
    pack_base64(&html->out, digest, sizeof digest);
    html_raw(html, "'");
}

static void add_policy(struct html *html)
{
    html_raw(html, "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                   "style-src");
    add_hash(html, html_style, html_script_style);
    html_raw(html, "; script-src");
    add_hash(html, html_script, "");
    html_raw(html, "; base-uri 'none'; form-action 'none'\">\n");
}

void html_begin(struct html *html, const char *title)
{
    html_raw(html, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n");
    add_policy(html);
    html_raw(html, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                   "<meta name=\"referrer\" content=\"no-referrer\">\n"
                   "<meta name=\"generator\" content=\"ordeal " ORDEAL_VERSION "\">\n<title>");
    html_raw(html, title);
    html_raw(html, " &ndash; ordeal</title>\n<style>");
    html_raw(html, html_style);
    html_raw(html, html_script_style);
    html_raw(html, "</style>\n</head>\n<body>\n"
                   "<a class=\"skip\" href=\"#content\">Skip to the results</a>\n");
}

static void add_head(struct html *html)
{
    const char *name = digest_test_text(&html->digest, "name");
    struct buf title = BUF_INIT;
    buf_printf(&title, "%s &ndash; ", verdict_name(html->digest.verdict));
    markup_add_text(&title, name != NULL ? name : "a history");
    html_begin(html, buf_text(&title));
    buf_free(&title);
}

static void add_sections(struct html *html)
{
    html_raw(html, "<main id=\"content\">\n");
    html_verdict(html);
    html_anomalies(html);
    html_glance(html);
    html_timeline(html);
    html_throughput(html);
    html_latency(html);
    html_operations(html);
    html_errors(html);
    html_faults(html);
    html_availability(html);
    html_clocks(html);
    html_deliveries(html);
    html_crashes(html);
    html_marks(html);
    html_logs(html);
    html_problems(html);
    html_plan(html);
    html_raw(html, "</main>\n");
}

/* Some sections are there only where there is something to say. */
static bool has_section(const struct html *html, const char *id)
{
    static const struct {
        const char *id;
        bool (*has)(const struct html *html);
    } some[] = {{"clocks", html_has_clocks},
                {"deliveries", html_has_deliveries},
                {"marks", html_has_marks},
                {"logs", html_has_logs}};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
        if (strcmp(id, some[i].id) == 0)
            return some[i].has(html);
    return true;
}

static void add_banner(struct html *html)
{
    struct digest *digest = &html->digest;
    static const char *const words[] = {"Valid", "Unknown", "Invalid"};
    const char *name = digest_test_text(digest, "name"), *setting = digest_setting(digest);
    html_raw(html, "<header>\n<p class=\"brand\">ordeal &middot; ");
    html_text(html, name != NULL ? name : "a history");
    buf_printf(&html->out, "</p>\n<div class=\"banner %s\">\n<h1><span class=\"word\">%s:</span> ",
               verdict_name(digest->verdict), words[digest->verdict]);
    html_text(html, digest->headline);
    html_raw(html, "</h1>\n");
    if (*setting != '\0') {
        html_raw(html, "<p>");
        html_text(html, setting);
        html_raw(html, "</p>\n");
    }
    if (digest->problem_count > 0)
        buf_printf(&html->out,
                   "<p class=\"warn\">The harness itself had %zu %s: <a href=\"#problems\">see "
                   "below</a>.</p>\n",
                   digest->problem_count, digest->problem_count == 1 ? "problem" : "problems");
    html_raw(html, "</div>\n<nav aria-label=\"Sections\"><ul>");
    static const char *const links[][2] = {
        {"verdict", "Checkers"},
        {"anomalies", "Anomalies"},
        {"glance", "Run"},
        {"timeline", "Timeline"},
        {"throughput", "Throughput"},
        {"latency", "Latency"},
        {"operations", "Operations"},
        {"errors", "Errors"},
        {"faults", "Faults"},
        {"availability", "Availability"},
        {"clocks", "Clocks"},
        {"deliveries", "Deliveries"},
        {"crashes", "Crashes"},
        {"marks", "Marks"},
        {"logs", "Logs"},
        {"problems", "Problems"},
        {"plan", "Plan"},
    };
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        if (has_section(html, links[i][0]))
            buf_printf(&html->out, "<li><a href=\"#%s\">%s</a></li>", links[i][0], links[i][1]);
    html_raw(html, "</ul></nav>\n</header>\n");
}

static enum err_code write_html(const struct run *run, FILE *out, struct err *err)
{
    struct html html = {.out = BUF_INIT};
    digest_make(run, &html.digest);
    node_logs_read(run, &html.logs);
    html_take_log_marks(&html);
    add_head(&html);
    add_banner(&html);
    add_sections(&html);
    html_raw(&html, "<footer><p>Made by ordeal " ORDEAL_VERSION
                    " from the files of the run. Times are seconds since the run began, by the "
                    "controller&#39;s monotonic clock.</p></footer>\n<script>");
    html_raw(&html, html_script);
    html_raw(&html, "</script>\n</body>\n</html>\n");
    node_logs_free(&html.logs);
    digest_free(&html.digest);
    return report_put(&html.out, "the page", out, err);
}

const struct reporter reporter_html = {
    .name = "html",
    .summary = "one page that needs no server and no network",
    .file_name = "report.html",
    .write = write_html,
    .suite_file_name = "summary.html",
    .write_suite = suite_html_write,
};
