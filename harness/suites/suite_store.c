/* Where suites are kept: see suite_store.h. */
#include "harness/suites/suite_store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/store.h"

static const char *suites_of(const char *store, struct arena *arena)
{
    return store_path(arena, store, "suites");
}

/* Parts are suites of their own: they may go on at the same time, and each is continued by itself.
 */
static const char *directory_name(const char *name, const struct suite_options *options,
                                  struct arena *arena)
{
    if (options->shard_count == 0)
        return name;
    return arena_printf(arena, "%s-%uof%u", name, options->shard, options->shard_count);
}

enum err_code suite_store_find(const char *store, const char *name,
                               const struct suite_options *options, struct arena *arena,
                               bool *found, struct suite_begin *begin, struct err *err)
{
    const char *latest = store_path(
        arena, store_path(arena, suites_of(store, arena), directory_name(name, options, arena)),
        "latest");
    const char *path = store_path(arena, latest, "suite.json");
    struct json *head = NULL;
    *found = false;
    if (access(path, F_OK) != 0)
        return ERR_NONE;
    char *real = realpath(latest, NULL);
    enum err_code code = json_read_file(path, &head, err);
    if (code == ERR_NONE && real != NULL) {
        *found = true;
        *begin = (struct suite_begin){
            .directory = store_path(
                arena,
                store_path(arena, suites_of(store, arena), directory_name(name, options, arena)),
                arena_strdup(arena, strrchr(real, '/') + 1)),
            .fresh_seed = (uint64_t)json_as_int(json_get(head, "fresh-seed"), 1),
            .started_wall_ns = json_as_int(json_get(head, "started-us"), 0) * 1000};
    }
    free(real);
    json_free(head);
    return code;
}

enum err_code suite_store_create(const char *store, const struct suite *suite,
                                 const struct suite_options *options, struct arena *arena,
                                 struct suite_begin *begin, struct err *err)
{
    const char *name = directory_name(suite->name, options, arena);
    begin->started_wall_ns = clock_wall_ns();
    begin->fresh_seed = options->fresh_seed;
    if (store_create(suites_of(store, arena), name, arena, &begin->directory, err) != ERR_NONE)
        return err->code;
    struct json *head = json_object();
    json_set_text(head, "suite", suite->name);
    json_set_text(head, "file", suite->file);
    json_set_int(head, "fresh-seed", (int64_t)begin->fresh_seed);
    json_set_int(head, "started-us", begin->started_wall_ns / 1000);
    enum err_code code = store_write_json(begin->directory, "suite.json", head, err);
    json_free(head);
    return code;
}

/* store_render_to's contract for runs, with a summary instead. */
static enum err_code render_one(const struct reporter *reporter, const char *path,
                                const struct json *summary, struct err *err)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    if (out == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %s", path);
    enum err_code code = reporter->write_suite(summary, out, err);
    if (fclose(out) != 0 && code == ERR_NONE)
        code = err_set(err, ERR_NOMEM, "out of memory for %s", path);
    if (code == ERR_NONE)
        code = file_write(path, text, length, err);
    free(text);
    return code;
}

enum err_code suite_store_render(const char *directory, const struct json *summary, struct err *err)
{
    struct arena arena = ARENA_INIT;
    enum err_code first = ERR_NONE;
    for (const struct reporter *const *one = reporters; *one != NULL; one++) {
        struct err why = ERR_INIT;
        if ((*one)->suite_file_name == NULL)
            continue;
        enum err_code code =
            render_one(*one, store_path(&arena, directory, (*one)->suite_file_name), summary, &why);
        if (code != ERR_NONE && first == ERR_NONE)
            first = err_set(err, code, "%s summary: %s", (*one)->name, why.message);
    }
    arena_free(&arena);
    return first;
}
