/* What is known of a suite's runs: see suite_runs.h. */
#include "harness/suites/suite_runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/run.h"
#include "harness/store.h"

enum { FILE_BYTES_MAX = 1 << 30, ANOMALY_KINDS_MAX = 32 };

struct suite_runs {
    const struct suite *suite;
    struct arena arena;
    const char *path;
    struct json ***lines; /* a list a cell */
    int fd;
};

/* ---- Reading ---- */

static bool is_of(const struct json *line, const struct suite_cell *cell, uint32_t run)
{
    return json_as_int(json_get(line, "digest"), -1) == (int64_t)cell->digest &&
           json_as_int(json_get(line, "seed"), -1) == (int64_t)cell->seeds[run];
}

static bool take(struct suite_runs *runs, struct json *line)
{
    const char *name = json_as_text(json_get(line, "cell"), "");
    int64_t run = json_as_int(json_get(line, "run"), 0);
    for (size_t i = 0; i < runs->suite->cell_count; i++) {
        const struct suite_cell *cell = &runs->suite->cells[i];
        if (strcmp(cell->name, name) != 0)
            continue;
        if (run < 1 || run > (int64_t)cell->run_count || !is_of(line, cell, (uint32_t)run - 1))
            return false;
        json_free(runs->lines[i][run - 1]);
        runs->lines[i][run - 1] = line;
        return true;
    }
    return false;
}

/* Returns how many bytes are whole lines. */
static enum err_code take_lines(struct suite_runs *runs, const char *text, size_t *whole,
                                struct err *err)
{
    int number = 1;
    *whole = 0;
    for (const char *end; (end = strchr(text + *whole, '\n')) != NULL; number++) {
        struct buf copy = BUF_INIT;
        struct json *line = NULL;
        buf_add(&copy, text + *whole, (size_t)(end - text) - *whole);
        enum err_code code = json_parse(buf_text(&copy), copy.length, "line", &line, NULL);
        buf_free(&copy);
        if (code != ERR_NONE)
            return err_set(err, code, "%s:%d: not JSON: the file is damaged", runs->path, number);
        if (!take(runs, line))
            json_free(line);
        *whole = (size_t)(end - text) + 1;
    }
    return ERR_NONE;
}

static enum err_code read_file(struct suite_runs *runs, struct err *err)
{
    struct buf text = BUF_INIT;
    size_t whole = 0;
    enum err_code code = ERR_NONE;
    if (access(runs->path, F_OK) == 0) {
        code = file_read(runs->path, FILE_BYTES_MAX, &text, err);
        if (code == ERR_NONE)
            code = take_lines(runs, buf_text(&text), &whole, err);
        if (code == ERR_NONE && truncate(runs->path, (off_t)whole) != 0)
            code = err_errno(err, errno, "%s", runs->path);
    }
    buf_free(&text);
    return code;
}

enum err_code suite_runs_open(const struct suite *suite, const char *directory,
                              struct suite_runs **runs, struct err *err)
{
    struct suite_runs *made = calloc(1, sizeof *made);
    if (made == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a suite's runs");
    made->suite = suite;
    made->fd = -1;
    made->path = store_path(&made->arena, directory, "runs.jsonl");
    made->lines = arena_zalloc(&made->arena, (suite->cell_count + 1) * sizeof *made->lines);
    for (size_t i = 0; i < suite->cell_count; i++)
        made->lines[i] =
            arena_zalloc(&made->arena, suite->cells[i].run_count * sizeof **made->lines);
    enum err_code code = read_file(made, err);
    if (code == ERR_NONE) {
        made->fd = open(made->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (made->fd < 0)
            code = err_errno(err, errno, "open %s", made->path);
    }
    if (code == ERR_NONE)
        *runs = made;
    else
        suite_runs_close(made);
    return code;
}

void suite_runs_close(struct suite_runs *runs)
{
    if (runs == NULL)
        return;
    for (size_t i = 0; i < runs->suite->cell_count; i++)
        for (uint32_t j = 0; j < runs->suite->cells[i].run_count; j++)
            json_free(runs->lines[i][j]);
    if (runs->fd >= 0)
        close(runs->fd);
    arena_free(&runs->arena);
    free(runs);
}

const struct json *suite_runs_get(const struct suite_runs *runs, size_t cell, uint32_t run)
{
    return runs->lines[cell][run];
}

bool suite_run_is_done(const struct json *line)
{
    int64_t status = json_as_int(json_get(line, "status"), EXIT_HARNESS_FAILED);
    return status <= EXIT_UNKNOWN && !json_as_bool(json_get(line, "interrupted"), false);
}

enum err_code suite_runs_add(struct suite_runs *runs, size_t cell, uint32_t run, struct json *line,
                             struct err *err)
{
    struct buf text = BUF_INIT;
    json_free(runs->lines[cell][run]);
    runs->lines[cell][run] = line;
    json_print(line, JSON_COMPACT, &text);
    buf_add_char(&text, '\n');
    enum err_code code = file_write_fd(runs->fd, runs->path, text.data, text.length, err);
    if (code == ERR_NONE && fsync(runs->fd) != 0)
        code = err_errno(err, errno, "write %s", runs->path);
    buf_free(&text);
    return code;
}

/* ---- What a run came to ---- */

static void add_once(struct json *list, const char *text)
{
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one))
        if (strcmp(json_as_text(one, ""), text) == 0)
            return;
    if (json_count(list) < ANOMALY_KINDS_MAX)
        json_add(list, json_text(text));
}

static struct json *found_by(const struct json *checker)
{
    struct json *found = json_object();
    const struct json *promises = json_get(checker, "promises");
    const struct json *anomalies = json_get(checker, "anomalies");
    json_set(found, "valid", json_copy(json_get(checker, "valid")));
    json_set_text(found, "reason", json_as_text(json_get(checker, "reason"), ""));
    if (json_kind(promises) == JSON_OBJECT) {
        struct json *broken = json_set(found, "broken", json_array());
        for (const struct json *one = json_first(promises); one != NULL; one = json_next(one))
            if (json_get(one, "valid") != NULL &&
                verdict_from_json(json_get(one, "valid")) == VERDICT_INVALID)
                json_add(broken, json_text(json_key(one)));
    }
    if (json_count(anomalies) == 0)
        return found;
    struct json *kinds = json_set(found, "anomalies", json_array());
    for (const struct json *one = json_first(anomalies); one != NULL; one = json_next(one))
        add_once(kinds, json_as_text(json_get(one, "kind"), "?"));
    const struct json *first = json_first(anomalies);
    struct json *shown = json_set(found, "first", json_object());
    json_set_text(shown, "title", json_as_text(json_get(first, "title"), ""));
    json_set_text(shown, "text", json_as_text(json_get(first, "text"), ""));
    return found;
}

static void take_results(struct json *line, const struct json *results)
{
    const struct json *test = json_get(results, "test");
    const char *directory = json_as_text(json_get(results, "directory"), NULL);
    const char *version = json_as_text(json_get(test, "system-version"), NULL);
    if (directory != NULL)
        json_set_text(line, "directory", directory);
    if (version != NULL)
        json_set_text(line, "system-version", version);
    json_set_bool(line, "interrupted", json_as_bool(json_get(test, "interrupted"), false));
    struct json *checkers_found = json_set(line, "checkers", json_object());
    for (const struct json *one = json_first(json_get(results, "checkers")); one != NULL;
         one = json_next(one))
        json_set(checkers_found, json_key(one), found_by(one));
}

struct json *suite_run_line(const struct suite_cell *cell, uint32_t run,
                            const struct suite_attempt *attempt)
{
    struct json *line = json_object();
    json_set_text(line, "cell", cell->name);
    json_set_int(line, "digest", cell->digest);
    json_set_int(line, "run", (int64_t)run + 1);
    json_set_int(line, "seed", (int64_t)cell->seeds[run]);
    json_set_int(line, "status", attempt->status);
    if (attempt->status <= EXIT_UNKNOWN)
        json_set(line, "valid",
                 verdict_json(attempt->status == EXIT_VALID     ? VERDICT_VALID
                              : attempt->status == EXIT_INVALID ? VERDICT_INVALID
                                                                : VERDICT_UNKNOWN));
    take_results(line, attempt->results);
    if (*attempt->problem != '\0')
        json_set_text(line, "problem", attempt->problem);
    return line;
}
