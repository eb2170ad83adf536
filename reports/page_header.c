/* What the operations of a page are named by, and the faults behind them: see page_data.h. */
#include <string.h>

#include "reports/page_data.h"
#include "reports/visible.h"

enum { FAULTS_MAX = 2000, MARKS_MAX = 3000, TEXT_COLUMNS = 160 };

static void set_text(struct json *object, const char *key, const char *text)
{
    struct buf shown = BUF_INIT;
    visible_add_cut(&shown, text, strlen(text), TEXT_COLUMNS);
    json_set_text(object, key, buf_text(&shown));
    buf_free(&shown);
}

static struct json *fault_json(const struct digest_fault *fault)
{
    struct json *told = json_object();
    struct buf asked = BUF_INIT;
    digest_plain(&asked, fault->asked);
    json_set_int(told, "id", fault->id);
    set_text(told, "nemesis", fault->nemesis);
    set_text(told, "asked", buf_text(&asked));
    set_text(told, "where", fault->nodes);
    json_set_int(told, "from-ns", fault->from_ns);
    json_set_int(told, "to-ns", fault->to_ns);
    json_set_bool(told, "failed", fault->failed);
    json_set_bool(told, "verified", fault->begin.verified);
    buf_free(&asked);
    return told;
}

struct json *page_faults_json(const struct digest *digest)
{
    struct json *all = json_array();
    size_t count = digest->timed ? digest->fault_count : 0;
    for (size_t i = 0; i < count && i < FAULTS_MAX; i++)
        if (digest->faults[i].from_ns >= 0)
            json_add(all, fault_json(&digest->faults[i]));
    return all;
}

struct json *page_marks_json(const struct digest *digest)
{
    struct json *all = json_array();
    for (size_t i = 0; digest->timed && i < digest->mark_count && i < MARKS_MAX; i++) {
        const struct digest_mark *mark = &digest->marks[i];
        struct json *told = json_object();
        set_text(told, "kind", mark->kind);
        set_text(told, "text", mark->text);
        set_text(told, "where", mark->where);
        json_set_int(told, "from-ns", mark->from_ns);
        json_set_int(told, "to-ns", mark->to_ns);
        json_add(all, told);
    }
    return all;
}

/* By their place in the history's table, so that nil is the first. */
struct json *page_errors_json(const struct history *history)
{
    struct json *all = json_array();
    for (uint32_t i = 0; i < history->error_count && i < PAGE_ERRORS_MAX; i++) {
        struct buf text = BUF_INIT;
        if (i > 0)
            digest_value(&text, history->errors[i], TEXT_COLUMNS);
        json_add(all, json_text(buf_text(&text)));
        buf_free(&text);
    }
    if (history->error_count > PAGE_ERRORS_MAX)
        json_add(all, json_text("(one of many others)"));
    return all;
}
