/* The faults of a run: from its results, its schedule, or the nemesis's events in its history. */
#include <string.h>

#include "harness/base/text.h"
#include "reports/digest.h"
#include "reports/visible.h"

enum { VALUE_COLUMNS = 400 };

static struct digest_phase read_phase(const struct json *phase)
{
    return (struct digest_phase){
        .present = phase != NULL,
        .asked_ns = json_as_int(json_get(phase, "asked-ns"), -1),
        .done_ns = json_as_int(json_get(phase, "done-ns"), -1),
        .verified = json_as_bool(json_get(phase, "verified"), false),
        .evidence = json_as_text(json_get(phase, "evidence"), ""),
    };
}

static struct digest_fault read_fault(struct digest *digest, const struct json *fault)
{
    const struct json *state = json_get(fault, "state");
    const char *done = json_as_text(json_get(fault, "done"), NULL);
    return (struct digest_fault){
        .id = json_as_int(json_get(fault, "id"), json_as_int(json_get(fault, "fault"), 0)),
        .nemesis = json_as_text(json_get(fault, "nemesis"), "?"),
        .asked = json_as_text(json_get(fault, "asked"), ""),
        .done = done != NULL ? done : json_as_text(json_get(fault, "value"), ""),
        .nodes = digest_where(digest, json_get(fault, "nodes")),
        .error = json_as_text(json_get(fault, "error"), ""),
        .primaries = digest_join(&digest->arena, json_get(state, "primaries")),
        .in_flight = json_as_int(json_get(state, "in-flight"), -1),
        .begin = read_phase(NULL),
        .end = read_phase(NULL),
    };
}

static struct digest_fault *add_fault(struct digest *digest, const struct digest_fault *fault)
{
    digest->faults[digest->fault_count] = *fault;
    return &digest->faults[digest->fault_count++];
}

static void reserve(struct digest *digest, size_t count)
{
    digest->faults = arena_zalloc(&digest->arena, (count + 1) * sizeof *digest->faults);
}

static void from_results(struct digest *digest, const struct json *list)
{
    reserve(digest, json_count(list));
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        struct digest_fault fault = read_fault(digest, one);
        fault.begin = read_phase(json_get(one, "begin"));
        fault.end = read_phase(json_get(one, "end"));
        add_fault(digest, &fault);
    }
}

/* Lines of one fault are near each other: the search back from the newest is short. */
static void from_schedule(struct digest *digest)
{
    reserve(digest, json_count(digest->run->schedule));
    for (const struct json *line = json_first(digest->run->schedule); line != NULL;
         line = json_next(line)) {
        struct digest_fault fault = read_fault(digest, line), *known = NULL;
        for (size_t i = digest->fault_count; i-- > 0 && known == NULL;)
            if (digest->faults[i].id == fault.id)
                known = &digest->faults[i];
        if (known == NULL)
            known = add_fault(digest, &fault);
        if (strcmp(json_as_text(json_get(line, "phase"), ""), "end") == 0)
            known->end = read_phase(line);
        else
            known->begin = read_phase(line);
        if (*fault.error != '\0')
            known->error = fault.error;
    }
}

/* ---- From the history: other harnesses' names too ---- */

/* Whether `end` is how the end of `begin` is called: start-x and stop-x, start and stop, pause and
 * resume, kill and start. */
static bool ends(const char *begin, const char *end)
{
    static const char *const pairs[][2] = {
        {"pause", "resume"}, {"kill", "start"}, {"kill", "restart"}, {"stop", "start"}};
    if (text_starts(begin, "start") && text_starts(end, "stop"))
        return strcmp(begin + 5, end + 4) == 0;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strcmp(begin, pairs[i][0]) == 0 && strcmp(end, pairs[i][1]) == 0)
            return true;
    return false;
}

static const char *describe_value(struct arena *arena, const struct history *history,
                                  uint32_t event)
{
    struct buf text = BUF_INIT;
    if (event != HISTORY_NONE)
        digest_value(&text, history->value[event], VALUE_COLUMNS);
    const char *copy = arena_strdup(arena, buf_text(&text));
    buf_free(&text);
    return copy;
}

static const char *describe_error(struct arena *arena, const struct history *history,
                                  uint32_t event)
{
    struct buf text = BUF_INIT;
    if (event != HISTORY_NONE && history->error[event] != 0)
        digest_value(&text, history->errors[history->error[event]], VALUE_COLUMNS);
    const char *copy = arena_strdup(arena, buf_text(&text));
    buf_free(&text);
    return copy;
}

static struct digest_phase event_phase(const struct history *history, uint32_t asked, uint32_t done)
{
    return (struct digest_phase){
        .present = true,
        .asked_ns = history->time_ns[asked],
        .done_ns = done == HISTORY_NONE ? -1 : history->time_ns[done],
        .evidence = "",
    };
}

static void take_event(struct digest *digest, uint32_t event)
{
    enum { OPEN_SEARCHED = 64 };
    const struct history *history = digest->run->history;
    const char *f = history_f_name(history, event);
    uint32_t done = history->partner == NULL ? HISTORY_NONE : history->partner[event];
    if (done != HISTORY_NONE && done < event)
        return; /* a completion */
    struct digest_phase phase = event_phase(history, event, done);
    size_t searched = 0;
    for (size_t i = digest->fault_count; i-- > 0 && searched++ < OPEN_SEARCHED;)
        if (!digest->faults[i].end.present && ends(digest->faults[i].nemesis, f)) {
            digest->faults[i].end = phase;
            return;
        }
    struct digest_fault fault = {
        .id = (int64_t)digest->fault_count + 1,
        .nemesis = f,
        .asked = describe_value(&digest->arena, history, event),
        .done = describe_value(&digest->arena, history, done),
        .nodes = "",
        .primaries = "",
        .in_flight = -1,
        .error = describe_error(&digest->arena, history, done),
        .begin = phase,
        .end = read_phase(NULL),
    };
    add_fault(digest, &fault);
}

static void from_history(struct digest *digest)
{
    const struct history *history = digest->run->history;
    size_t events = 0;
    for (uint32_t i = 0; i < history->count; i++)
        events += history->process[i] == PROCESS_NEMESIS;
    reserve(digest, events);
    for (uint32_t i = 0; i < history->count; i++)
        if (history->process[i] == PROCESS_NEMESIS)
            take_event(digest, i);
}

static int64_t first_known(int64_t a, int64_t b)
{
    return a >= 0 ? a : b;
}

static void find_window(const struct digest *digest, struct digest_fault *fault)
{
    fault->failed = *fault->error != '\0' && !fault->begin.verified && !fault->end.present;
    fault->from_ns = first_known(fault->begin.done_ns, fault->begin.asked_ns);
    fault->to_ns = first_known(fault->end.done_ns, fault->end.asked_ns);
    if (fault->failed) {
        fault->from_ns = first_known(fault->begin.asked_ns, fault->begin.done_ns);
        fault->to_ns = first_known(fault->begin.done_ns, fault->begin.asked_ns);
    } else if (!fault->end.present) {
        fault->to_ns = digest->end_ns;
    }
    if (fault->to_ns < fault->from_ns)
        fault->to_ns = fault->from_ns;
}

void digest_faults(struct digest *digest)
{
    const struct json *list = json_get(digest->run->results, "faults");
    if (json_count(list) > 0) {
        from_results(digest, list);
    } else if (json_count(digest->run->schedule) > 0) {
        from_schedule(digest);
    } else {
        digest->faults_guessed = true;
        from_history(digest);
    }
    for (size_t i = 0; i < digest->fault_count; i++)
        find_window(digest, &digest->faults[i]);
}
