/* The steps that repeat a run's faults: see schedule.h. */
#include <string.h>

#include "harness/base/text.h"
#include "harness/schedules/schedule.h"

enum { FAULTS_MAX = 20000, FILE_BYTES_MAX = 256 << 20 };

/* A step of the fault that this line began; NULL: it did not take effect, so there is nothing to
 * repeat. */
static struct json *step_of(const struct json *line)
{
    static const char *const texts[][2] = {
        {"nemesis", "nemesis"}, {"value", "asked"}, {"done", "value"}};
    if (strcmp(json_as_text(json_get(line, "phase"), ""), "begin") != 0 ||
        json_get(line, "error") != NULL)
        return NULL;
    struct json *step = json_object();
    struct buf at = BUF_INIT;
    buf_printf(&at, "%lldns", (long long)json_as_int(json_get(line, "asked-ns"), 0));
    json_set_text(step, "at", buf_text(&at));
    buf_free(&at);
    for (size_t i = 0; i < 3; i++)
        json_set_text(step, texts[i][0], json_as_text(json_get(line, texts[i][1]), ""));
    if (json_get(line, "file") != NULL)
        json_set_text(step, "nemesis", json_as_text(json_get(line, "file"), ""));
    json_set(step, "hit", json_copy(json_get(line, "nodes")));
    return step;
}

static void end_step(struct json *step, const struct json *line)
{
    struct buf until = BUF_INIT;
    buf_printf(&until, "%lldns", (long long)json_as_int(json_get(line, "asked-ns"), 0));
    json_set_text(step, "until", buf_text(&until));
    buf_free(&until);
}

static enum err_code check_line(const struct json *line, const char *path, int number,
                                struct err *err)
{
    static const char *const needed[] = {"fault", "phase", "nemesis", "asked-ns",
                                         "asked", "value", "nodes"};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; i++)
        if (json_get(line, needed[i]) == NULL)
            return err_set(err, ERR_CONFIG,
                           "%s:%d: it has no '%s'; --replay takes the schedule.jsonl of a run",
                           path, number, needed[i]);
    return ERR_NONE;
}

static enum err_code take_line(const struct json *line, struct json *steps, struct json **by_fault,
                               const char *path, int number, struct err *err)
{
    if (check_line(line, path, number, err) != ERR_NONE)
        return err->code;
    int64_t fault = json_as_int(json_get(line, "fault"), 0);
    if (fault < 1 || fault > FAULTS_MAX)
        return err_set(err, ERR_CONFIG, "%s:%d: fault %lld is not 1 to %d", path, number,
                       (long long)fault, FAULTS_MAX);
    if (strcmp(json_as_text(json_get(line, "phase"), ""), "end") == 0) {
        if (by_fault[fault] != NULL)
            end_step(by_fault[fault], line);
        return ERR_NONE;
    }
    struct json *step = step_of(line);
    if (step != NULL)
        by_fault[fault] = json_add(steps, step);
    return ERR_NONE;
}

enum err_code schedule_of_run(const char *path, struct json **out, struct err *err)
{
    struct buf text = BUF_INIT;
    struct arena arena = ARENA_INIT;
    struct json *steps = json_array();
    struct json **by_fault = arena_zalloc(&arena, (FAULTS_MAX + 1) * sizeof *by_fault);
    enum err_code code = file_read(path, FILE_BYTES_MAX, &text, err);
    int number = 0;
    char *rest = text.data;
    for (char *one; code == ERR_NONE && (one = strsep(&rest, "\n")) != NULL;) {
        struct json *line = NULL;
        number++;
        if (*one == '\0')
            continue;
        const char *name = arena_printf(&arena, "%s, line %d", path, number);
        code = json_parse(one, strlen(one), name, &line, err);
        if (code == ERR_NONE)
            code = take_line(line, steps, by_fault, path, number, err);
        json_free(line);
    }
    if (code == ERR_NONE && json_count(steps) == 0)
        code = err_set(err, ERR_CONFIG, "%s: no fault of it took effect, so none can be repeated",
                       path);
    buf_free(&text);
    arena_free(&arena);
    if (code == ERR_NONE)
        *out = steps;
    else
        json_free(steps);
    return code == ERR_NONE ? code : (err->code = ERR_CONFIG);
}
