/* The runs of a store: see runs.h. */
#include "reports/serve/runs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"

#define RESULTS_BYTES_MAX ((size_t)256 << 20)
static const int64_t going_ns = 15 * NS_PER_SECOND; /* a run writes more often than that */

/* What is remembered of a run between two looks. */
struct known_run {
    struct arena arena;
    struct run_entry entry;
    const char *key; /* "test/time" */
    int64_t results_ns;
    off_t results_bytes;
    uint64_t seen; /* the look it was last seen in */
};

struct runs {
    pthread_mutex_t lock;
    char *store;
    struct known_run **items; /* by key */
    size_t count, capacity;
    uint64_t looks;
};

struct runs *runs_open(const char *store)
{
    struct runs *runs = calloc(1, sizeof *runs);
    char *name = strdup(store);
    if (runs == NULL || name == NULL)
        abort();
    runs->store = name;
    pthread_mutex_init(&runs->lock, NULL);
    return runs;
}

static void forget(struct known_run *known)
{
    arena_free(&known->arena);
    free(known);
}

void runs_close(struct runs *runs)
{
    if (runs == NULL)
        return;
    for (size_t i = 0; i < runs->count; i++)
        forget(runs->items[i]);
    pthread_mutex_destroy(&runs->lock);
    free(runs->items);
    free(runs->store);
    free(runs);
}

bool runs_is_time(const char *name)
{
    static const char shape[] = "00000000T000000.000Z";
    size_t i = 0;
    for (; shape[i] != '\0' && name[i] != '\0'; i++)
        if (shape[i] == '0' ? name[i] < '0' || name[i] > '9' : name[i] != shape[i])
            return false;
    return shape[i] == '\0' && name[i] == '\0';
}

const char *run_state_word(const struct run_entry *entry)
{
    switch (entry->state) {
    case RUN_GOING:
        return "going on";
    case RUN_CUT:
        return "cut off";
    case RUN_DAMAGED:
        return "damaged";
    default:
        return verdict_name(entry->verdict);
    }
}

/* ---- One run ---- */

static int64_t mtime_ns(const struct stat *status)
{
    return status->st_mtim.tv_sec * NS_PER_SECOND + status->st_mtim.tv_nsec;
}

/* The latest write to what grows during a run. */
static int64_t last_write_ns(const char *directory)
{
    static const char *const growing[] = {"history.ordeal", "schedule.jsonl", "ordeal.log",
                                          "plan.json"};
    int64_t last = 0;
    struct buf path = BUF_INIT;
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++) {
        struct stat status;
        buf_clear(&path);
        buf_printf(&path, "%s/%s", directory, growing[i]);
        if (lstat(buf_text(&path), &status) == 0 && mtime_ns(&status) > last)
            last = mtime_ns(&status);
    }
    buf_free(&path);
    return last;
}

static const char *join(struct arena *arena, const struct json *array)
{
    struct buf out = BUF_INIT;
    for (const struct json *item = json_first(array); item != NULL; item = json_next(item))
        buf_printf(&out, "%s%s", out.length == 0 ? "" : ", ", json_as_text(item, "?"));
    const char *text = arena_strdup(arena, buf_text(&out));
    buf_free(&out);
    return text;
}

static void take_test(struct arena *arena, const struct json *test, struct run_entry *entry)
{
    const char *system = json_as_text(json_get(test, "system-version"), "");
    if (*system == '\0')
        system = json_as_text(json_get(test, "system"), "");
    entry->system = arena_strdup(arena, system);
    entry->workload = arena_strdup(arena, json_as_text(json_get(test, "workload"), ""));
    entry->nemeses = join(arena, json_get(test, "nemeses"));
    entry->duration_s = json_as_real(json_get(test, "duration-s"), -1);
    entry->event_count = json_as_int(json_get(test, "event-count"), -1);
    const struct json *seed = json_get(test, "seed");
    if (json_kind(seed) == JSON_NUMBER)
        entry->seed = arena_printf(arena, "%lld", (long long)json_as_int(seed, 0));
    else
        entry->seed = arena_strdup(arena, json_as_text(seed, ""));
}

static void damaged(struct arena *arena, struct run_entry *entry, const char *problem)
{
    entry->state = RUN_DAMAGED;
    entry->problem = arena_strdup(arena, problem);
}

static void read_results(struct known_run *known, const char *path, off_t bytes)
{
    struct run_entry *entry = &known->entry;
    struct json *results = NULL;
    struct err err = ERR_INIT;
    if ((uint64_t)bytes > RESULTS_BYTES_MAX) {
        damaged(&known->arena, entry, "results.json is larger than 256 MiB");
        return;
    }
    if (json_read_file(path, &results, &err) != ERR_NONE) {
        damaged(&known->arena, entry, err.message);
        return;
    }
    if (json_kind(results) != JSON_OBJECT || json_get(results, "valid") == NULL) {
        damaged(&known->arena, entry, "results.json is no object with a member \"valid\"");
    } else {
        entry->state = RUN_ENDED;
        entry->verdict = verdict_from_json(json_get(results, "valid"));
        entry->reason = arena_strdup(&known->arena, verdict_reason(results, entry->verdict));
        entry->fault_count = (int64_t)json_count(json_get(results, "faults"));
        take_test(&known->arena, json_get(results, "test"), entry);
    }
    json_free(results);
}

/* What a run that has not ended is about, as far as its plan says. */
static void read_plan(struct known_run *known, const char *path)
{
    struct json *plan = NULL;
    if (json_read_file(path, &plan, NULL) != ERR_NONE)
        return;
    struct run_entry *entry = &known->entry;
    entry->system = arena_strdup(&known->arena, json_as_text(json_get(plan, "system"), ""));
    entry->workload = arena_strdup(&known->arena, json_as_text(json_get(plan, "workload"), ""));
    entry->nemeses = arena_strdup(&known->arena, json_as_text(json_get(plan, "nemesis"), ""));
    entry->seed = arena_strdup(&known->arena, json_as_text(json_get(plan, "seed"), ""));
    json_free(plan);
}

static void reset_entry(struct known_run *known, const char *test, const char *time)
{
    arena_reset(&known->arena);
    known->key = arena_printf(&known->arena, "%s/%s", test, time);
    known->entry = (struct run_entry){.test = arena_strdup(&known->arena, test),
                                      .time = arena_strdup(&known->arena, time),
                                      .system = "",
                                      .workload = "",
                                      .nemeses = "",
                                      .reason = "",
                                      .seed = "",
                                      .event_count = -1,
                                      .fault_count = -1,
                                      .duration_s = -1};
}

static void look_at(const struct runs *runs, struct known_run *known)
{
    char *test = strdup(known->entry.test), *time = strdup(known->entry.time);
    if (test == NULL || time == NULL)
        abort();
    struct buf directory = BUF_INIT, path = BUF_INIT;
    struct stat status;
    buf_printf(&directory, "%s/%s/%s", runs->store, test, time);
    buf_printf(&path, "%s/results.json", buf_text(&directory));
    bool ended = lstat(buf_text(&path), &status) == 0;
    if (!ended) {
        if (known->results_ns != -1) { /* the plan is read once */
            reset_entry(known, test, time);
            buf_clear(&path);
            buf_printf(&path, "%s/plan.json", buf_text(&directory));
            read_plan(known, buf_text(&path));
            known->results_ns = -1;
        }
        bool fresh = clock_wall_ns() - last_write_ns(buf_text(&directory)) < going_ns;
        known->entry.state = fresh ? RUN_GOING : RUN_CUT;
    } else if (known->results_ns != mtime_ns(&status) || known->results_bytes != status.st_size) {
        reset_entry(known, test, time);
        if (S_ISREG(status.st_mode))
            read_results(known, buf_text(&path), status.st_size);
        else
            damaged(&known->arena, &known->entry, "results.json is no regular file");
        known->results_ns = mtime_ns(&status);
        known->results_bytes = status.st_size;
    }
    buf_free(&directory);
    buf_free(&path);
    free(test);
    free(time);
}

/* ---- The store ---- */

static size_t place_of(const struct runs *runs, const char *key, bool *there)
{
    size_t low = 0, high = runs->count;
    *there = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(runs->items[middle]->key, key);
        if (order == 0)
            *there = true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct known_run *find_or_add(struct runs *runs, const char *test, const char *time)
{
    struct buf key = BUF_INIT;
    buf_printf(&key, "%s/%s", test, time);
    bool there;
    size_t place = place_of(runs, buf_text(&key), &there);
    buf_free(&key);
    if (there)
        return runs->items[place];
    if (runs->count == runs->capacity) {
        runs->capacity = runs->capacity * 2 + 64;
        runs->items = realloc(runs->items, runs->capacity * sizeof *runs->items);
    }
    struct known_run *known = calloc(1, sizeof *known);
    if (runs->items == NULL || known == NULL)
        abort();
    reset_entry(known, test, time);
    memmove(&runs->items[place + 1], &runs->items[place],
            (runs->count - place) * sizeof *runs->items);
    runs->items[place] = known;
    runs->count++;
    return known;
}

/* Links such as "latest" are other names of what is seen anyway, or lead out of the store. */
static DIR *open_directory(int parent, const char *name)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL && fd >= 0)
        close(fd);
    return directory;
}

static void look_at_test(struct runs *runs, int store, const char *test)
{
    DIR *directory = open_directory(store, test);
    const struct dirent *item;
    while (directory != NULL && (item = readdir(directory)) != NULL) {
        struct stat status;
        if (!runs_is_time(item->d_name) ||
            fstatat(dirfd(directory), item->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0 ||
            !S_ISDIR(status.st_mode))
            continue;
        struct known_run *known = find_or_add(runs, test, item->d_name);
        known->seen = runs->looks;
        look_at(runs, known);
    }
    if (directory != NULL)
        closedir(directory);
}

static void drop_unseen(struct runs *runs)
{
    size_t kept = 0;
    for (size_t i = 0; i < runs->count; i++) {
        if (runs->items[i]->seen == runs->looks)
            runs->items[kept++] = runs->items[i];
        else
            forget(runs->items[i]);
    }
    runs->count = kept;
}

static enum err_code look(struct runs *runs, struct err *err)
{
    DIR *store = opendir(runs->store);
    if (store == NULL)
        return err_errno(err, errno, "store %s", runs->store);
    runs->looks++;
    const struct dirent *item;
    while ((item = readdir(store)) != NULL)
        if (item->d_name[0] != '.')
            look_at_test(runs, dirfd(store), item->d_name);
    closedir(store);
    drop_unseen(runs);
    return ERR_NONE;
}

static struct run_entry *copy_entry(struct arena *arena, const struct run_entry *entry)
{
    struct run_entry *copy = arena_alloc(arena, sizeof *copy);
    *copy = *entry;
    const char **texts[] = {&copy->test,    &copy->time,   &copy->system, &copy->workload,
                            &copy->nemeses, &copy->reason, &copy->seed};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        *texts[i] = arena_strdup(arena, *texts[i]);
    if (copy->problem != NULL)
        copy->problem = arena_strdup(arena, copy->problem);
    return copy;
}

static int newest_first(const void *a, const void *b)
{
    const struct run_entry *left = *(const struct run_entry *const *)a;
    const struct run_entry *right = *(const struct run_entry *const *)b;
    int order = strcmp(right->time, left->time);
    return order != 0 ? order : strcmp(left->test, right->test);
}

enum err_code runs_list(struct runs *runs, struct arena *arena, struct run_list *list,
                        struct err *err)
{
    pthread_mutex_lock(&runs->lock);
    enum err_code code = look(runs, err);
    *list = (struct run_list){.count = code == ERR_NONE ? runs->count : 0};
    list->items = arena_alloc(arena, (list->count + 1) * sizeof *list->items);
    for (size_t i = 0; i < list->count; i++)
        list->items[i] = copy_entry(arena, &runs->items[i]->entry);
    pthread_mutex_unlock(&runs->lock);
    qsort(list->items, list->count, sizeof *list->items, newest_first);
    return code;
}
