/* The store: see store.h. */
#include "harness/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/edn.h"
#include "harness/histories/history_io.h"
#include "harness/histories/history_supply.h"

enum { ATTEMPTS_MAX = 1000, FILE_BYTES_MAX = 1 << 30 };

const char *store_path(struct arena *arena, const char *directory, const char *name)
{
    return arena_printf(arena, "%s/%s", directory, name);
}

/* Readers must never find the link missing: a new one is renamed over the old. */
static void point_latest(struct arena *arena, const char *directory, const char *target)
{
    const char *link = store_path(arena, directory, "latest");
    const char *aside = arena_printf(arena, "%s.%ld", link, (long)getpid());
    unlink(aside);
    if (symlink(target, aside) != 0 || rename(aside, link) != 0)
        unlink(aside); /* a convenience: a store without links still works */
}

enum err_code store_create(const char *store, const char *test_name, struct arena *arena,
                           const char **directory, struct err *err)
{
    const char *parent = store_path(arena, store, test_name);
    if (file_make_dirs(parent, err) != ERR_NONE)
        return err_wrap(err, "the store");
    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        char stamp[40];
        clock_format_utc(clock_wall_ns(), stamp, sizeof stamp);
        const char *path = store_path(arena, parent, stamp);
        if (mkdir(path, 0755) == 0) {
            point_latest(arena, parent, stamp);
            point_latest(arena, store, arena_printf(arena, "%s/%s", test_name, stamp));
            *directory = path;
            return ERR_NONE;
        }
        if (errno != EEXIST)
            return err_errno(err, errno, "the store: make directory %s", path);
        clock_sleep_ns(NS_PER_MS); /* another run began in the same millisecond */
    }
    return err_set(err, ERR_IO, "the store: no free name under %s", parent);
}

enum err_code store_write_json(const char *directory, const char *name, const struct json *json,
                               struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct buf text = BUF_INIT;
    json_print(json, JSON_PRETTY, &text);
    buf_add_char(&text, '\n');
    enum err_code code =
        file_write(store_path(&arena, directory, name), text.data, text.length, err);
    buf_free(&text);
    arena_free(&arena);
    return code;
}

/* ---- Reading back ---- */

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static enum err_code read_json(struct stored_run *stored, const char *name, struct json **json,
                               struct err *err)
{
    const char *path = store_path(&stored->arena, stored->run.directory, name);
    if (!exists(path)) {
        if (!exists(store_path(&stored->arena, stored->run.directory, "results.edn")))
            buf_printf(&stored->notes, "%s is missing.\n", name); /* Jepsen's runs have none */
        return ERR_NONE;
    }
    return json_read_file(path, json, err);
}

/* What Jepsen itself made of a run is noted: it may differ, and that is worth a look. */
static void read_results_edn(struct stored_run *stored)
{
    const char *path = store_path(&stored->arena, stored->run.directory, "results.edn");
    struct buf text = BUF_INIT;
    struct value results;
    struct err err = ERR_INIT;
    if (!exists(path))
        return;
    enum err_code code = file_read(path, FILE_BYTES_MAX, &text, &err);
    if (code == ERR_NONE)
        code = edn_parse_all(&stored->arena, buf_text(&text), text.length, &results, &err);
    if (code != ERR_NONE) {
        buf_printf(&stored->notes, "results.edn cannot be read: %s\n", err.message);
    } else {
        struct buf valid = BUF_INIT;
        value_print(value_get(results, "valid?"), &valid);
        buf_printf(&stored->notes, "results.edn says :valid? %s\n", buf_text(&valid));
        buf_free(&valid);
    }
    buf_free(&text);
}

/* One JSON object a line; a last line cut short by a crash is noted and left out. */
enum err_code store_read_schedule(const char *directory, struct json **lines, struct buf *notes,
                                  struct err *err)
{
    struct buf path = BUF_INIT, text = BUF_INIT;
    buf_printf(&path, "%s/schedule.jsonl", directory);
    enum err_code code =
        exists(path.data) ? file_read(path.data, FILE_BYTES_MAX, &text, err) : ERR_NONE;
    if (code == ERR_NONE && text.data != NULL) {
        *lines = json_array();
        char *rest = text.data;
        for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
            struct json *object;
            if (*line == '\0')
                continue;
            if (json_parse(line, strlen(line), path.data, &object, NULL) == ERR_NONE)
                json_add(*lines, object);
            else
                buf_add_text(notes, "A line of schedule.jsonl is damaged and was left out.\n");
        }
    }
    buf_free(&path);
    buf_free(&text);
    return code;
}

enum err_code store_read_history(const char *path, const char *format, struct stored_run *stored,
                                 struct err *err)
{
    struct history_notes notes;
    struct history history;
    if (history_load(path, format, &history, &notes, err) != ERR_NONE)
        return err->code;
    history_free(&stored->history);
    stored->history = history;
    history_notes_print(&notes, &stored->notes);
    if (history.cut != NULL)
        buf_printf(&stored->notes, "%s\n", history.cut);
    uint32_t left_open, supplied;
    if (history_supply_invocations(&stored->history, &supplied, err) != ERR_NONE)
        return err_wrap(err, "%s", path);
    if (supplied > 0)
        buf_printf(&stored->notes,
                   "%u completions have no invocation (the first is event %u): taken as invoked "
                   "right after what their process did before, which numbers the events anew.\n",
                   supplied, stored->history.supplied[0]);
    if (history_pair_found(&stored->history, &left_open, err) != ERR_NONE)
        return err_wrap(err, "%s", path);
    if (left_open > 0)
        buf_printf(&stored->notes,
                   "%u operations were still open when their process invoked another: taken as "
                   "indeterminate.\n",
                   left_open);
    return ERR_NONE;
}

static enum err_code read_history(struct stored_run *stored, struct err *err)
{
    const char *path = store_path(&stored->arena, stored->run.directory, "history.ordeal");
    if (!exists(path))
        path = store_path(&stored->arena, stored->run.directory, "history.edn");
    if (!exists(path))
        path = store_path(&stored->arena, stored->run.directory, "test.jepsen");
    if (!exists(path)) {
        buf_printf(&stored->notes, "There is no history.\n");
        return ERR_NONE;
    }
    stored->has_history = true;
    return store_read_history(path, NULL, stored, err);
}

void store_init(struct stored_run *stored)
{
    *stored = (struct stored_run){.arena = ARENA_INIT, .notes = BUF_INIT};
    history_init(&stored->history);
    stored->run.history = &stored->history;
}

enum err_code store_read(const char *directory, struct stored_run *stored, struct err *err)
{
    store_init(stored);
    stored->run.directory = arena_strdup(&stored->arena, directory);
    struct stat status;
    enum err_code code = ERR_NONE;
    if (stat(directory, &status) != 0)
        code = err_errno(err, errno, "%s", directory);
    else if (!S_ISDIR(status.st_mode))
        code = err_set(err, ERR_CONFIG, "%s is not the directory of a run", directory);
    if (code == ERR_NONE)
        code = read_json(stored, "plan.json", &stored->plan, err);
    if (code == ERR_NONE)
        code = read_json(stored, "results.json", &stored->results, err);
    if (code == ERR_NONE)
        code = store_read_schedule(directory, &stored->schedule, &stored->notes, err);
    if (code == ERR_NONE && stored->results == NULL) /* not one of ours, which says the same */
        read_results_edn(stored);
    if (code == ERR_NONE)
        code = read_history(stored, err);
    if (code != ERR_NONE) {
        store_free(stored);
        return code;
    }
    stored->run.plan = stored->plan;
    stored->run.results = stored->results;
    stored->run.schedule = stored->schedule;
    return ERR_NONE;
}

void store_free(struct stored_run *stored)
{
    json_free(stored->plan);
    json_free(stored->results);
    json_free(stored->schedule);
    history_free(&stored->history);
    buf_free(&stored->notes);
    arena_free(&stored->arena);
}

/* ---- Rendering ---- */

enum err_code store_render_to(const struct run *run, const struct reporter *reporter,
                              const char *path, struct err *err)
{
    struct buf aside = BUF_INIT;
    buf_printf(&aside, "%s.%ld.tmp", path, (long)getpid());
    FILE *out = fopen(aside.data, "we");
    enum err_code code = ERR_NONE;
    if (out == NULL) {
        code = err_errno(err, errno, "create %s", aside.data);
        buf_free(&aside);
        return code;
    }
    code = reporter->write(run, out, err);
    bool flushed = fflush(out) == 0 && ferror(out) == 0 && fsync(fileno(out)) == 0;
    if (code == ERR_NONE && !flushed)
        code = err_errno(err, errno, "write %s", path);
    if (fclose(out) != 0 && code == ERR_NONE)
        code = err_errno(err, errno, "write %s", path);
    if (code == ERR_NONE && rename(aside.data, path) != 0)
        code = err_errno(err, errno, "write %s", path);
    if (code != ERR_NONE)
        unlink(aside.data);
    buf_free(&aside);
    return code;
}

enum err_code store_render(const struct run *run, struct err *err)
{
    struct arena arena = ARENA_INIT;
    enum err_code first = ERR_NONE;
    for (const struct reporter *const *reporter = reporters; *reporter != NULL; reporter++) {
        if ((*reporter)->file_name == NULL)
            continue;
        struct err why = ERR_INIT;
        enum err_code code = store_render_to(
            run, *reporter, store_path(&arena, run->directory, (*reporter)->file_name), &why);
        if (code != ERR_NONE && first == ERR_NONE)
            first = err_set(err, code, "%s report: %s", (*reporter)->name, why.message);
    }
    arena_free(&arena);
    return first;
}
