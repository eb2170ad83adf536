/* What is fetched from the nodes when a run is over: the system's logs, and the files that the plan
 * names by patterns. See run_internal.h. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/run_internal.h"
#include "harness/store.h"

/* Of one node: a pattern may match more than anybody wants. */
enum { FILES_MAX = 200, FILE_MIB_MAX = 256 };

struct downloads {
    struct running *running;
    struct fleet_download *items;
    size_t count, capacity;
};

static void add(struct downloads *downloads, uint32_t node, const char *source, const char *target)
{
    struct arena *arena = &downloads->running->arena;
    if (downloads->count == downloads->capacity) {
        size_t capacity = downloads->capacity * 2 + 16;
        struct fleet_download *items = arena_zalloc(arena, capacity * sizeof *items);
        if (downloads->count > 0)
            memcpy(items, downloads->items, downloads->count * sizeof *items);
        downloads->items = items;
        downloads->capacity = capacity;
    }
    downloads->items[downloads->count++] =
        (struct fleet_download){.node = node, .source = source, .target = target, .as_root = true};
}

static const char *directory_of(struct running *running, uint32_t node)
{
    return arena_printf(&running->arena, "%s/nodes/%s", running->directory,
                        running->test.nodes[node].name);
}

static void add_logs(struct downloads *downloads, uint32_t node)
{
    struct running *running = downloads->running;
    const char *directory = directory_of(running, node);
    for (const char *const *path = running->plan->system->log_paths; *path != NULL; path++) {
        const char *base = strrchr(*path, '/');
        add(downloads, node, *path,
            store_path(&running->arena, directory, base == NULL ? *path : base + 1));
    }
}

/* A line of "size path": below the node's directory it has the same path. */
static void add_found(struct downloads *downloads, uint32_t node, const char *line)
{
    struct running *running = downloads->running;
    char *path;
    unsigned long long size = strtoull(line, &path, 10);
    const char *name = running->test.nodes[node].name;
    struct err err = ERR_INIT;
    if (*path != ' ' || path[1] != '/' || strstr(path, "/../") != NULL)
        return;
    path++;
    if (size > (unsigned long long)FILE_MIB_MAX << 20) {
        log_problem(running->log, "%s: %s has %llu MiB and is not fetched (at most %d)", name, path,
                    size >> 20, FILE_MIB_MAX);
        return;
    }
    const char *target = arena_printf(&running->arena, "%s%s", directory_of(running, node), path);
    char *directory = arena_strdup(&running->arena, target);
    *strrchr(directory, '/') = '\0';
    if (file_make_dirs(directory, &err) == ERR_NONE)
        add(downloads, node, arena_strdup(&running->arena, path), target);
    else
        log_problem(running->log, "%s: %s is not fetched: %s", name, path, err.message);
}

static void add_matching(struct downloads *downloads, uint32_t node)
{
    struct running *running = downloads->running;
    const struct plan *plan = running->plan;
    struct buf script = BUF_INIT, out = BUF_INIT;
    struct err err = ERR_INIT;
    buf_add_text(&script, "for file in");
    for (size_t i = 0; i < plan->log_glob_count; i++)
        buf_printf(&script, " %s", plan->log_globs[i]);
    buf_printf(&script,
               "; do [ -f \"$file\" ] && echo \"$(stat -L -c %%s -- \"$file\") $file\"; done | "
               "head -n %d",
               FILES_MAX + 1);
    if (test_shell_output(&running->test, node, &out, NULL, &err, "%s", script.data) != ERR_NONE)
        log_problem(running->log, "looking for log-files: %s", err.message);
    size_t found = 0;
    for (char *rest = out.data, *line; (line = strsep(&rest, "\n")) != NULL;) {
        if (*line != '\0' && found++ < FILES_MAX)
            add_found(downloads, node, line);
    }
    if (found == 0 && err.code == ERR_NONE)
        log_problem(running->log, "%s: log-files match no file", running->test.nodes[node].name);
    if (found > FILES_MAX)
        log_problem(running->log, "%s: log-files match more than %d files: the first are fetched",
                    running->test.nodes[node].name, FILES_MAX);
    buf_free(&script);
    buf_free(&out);
}

/* All at once, so that machines that are gone are waited for but once. */
void run_fetch_logs(struct running *running)
{
    struct test *test = &running->test;
    struct downloads downloads = {.running = running};
    node_set gone = atomic_load(&running->lost) | atomic_load(&running->control.away);
    for (uint32_t i = 0; i < test->node_count; i++) {
        struct err err = ERR_INIT;
        if (running->plan->system->log_paths[0] == NULL && running->plan->log_glob_count == 0)
            return;
        if (file_make_dirs(directory_of(running, i), &err) != ERR_NONE)
            continue;
        add_logs(&downloads, i);
        if (running->plan->log_glob_count > 0 && !node_in(gone, i))
            add_matching(&downloads, i);
    }
    if (downloads.count == 0 ||
        fleet_download(running->control.fleet, downloads.items, downloads.count, NULL) == ERR_NONE)
        return;
    for (size_t i = 0; i < downloads.count; i++)
        if (downloads.items[i].err.code != ERR_NONE)
            log_line(running->log, "no log %s: %s", downloads.items[i].source,
                     downloads.items[i].err.message);
}
