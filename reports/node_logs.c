/* The logs of the nodes: see node_logs.h. */
#include "reports/node_logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "reports/log_time.h"

enum {
    NODES_MAX = 64,
    FILES_MAX = 32,
    LINES_MAX = 1000000,
    BYTES_MAX = 96 << 20,
    LINE_MATCHED_MAX = 2000,
    KINDS_MAX = 32
};
#define ZONE_STEP_NS (15 * 60 * NS_PER_SECOND)
#define ZONE_MOST_NS (14 * 3600 * NS_PER_SECOND)

struct reading {
    struct node_logs *logs;
    int64_t zero_ns;
    size_t lines_left, bytes_left;
};

/* ---- Names ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What lies in a directory, in order; at most `most`. */
static size_t list_directory(const char *path, size_t most, struct arena *arena, char ***names)
{
    DIR *directory = opendir(path);
    size_t count = 0, capacity = most + 1;
    *names = arena_alloc(arena, capacity * sizeof **names);
    if (directory == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL && count < most;)
        if (entry->d_name[0] != '.')
            (*names)[count++] = arena_strdup(arena, entry->d_name);
    closedir(directory);
    qsort(*names, count, sizeof **names, by_name);
    return count;
}

/* ---- One log ---- */

/* Zones are whole quarters of an hour: the one in which the log begins closest to the run. */
static int64_t zone_of(int64_t first_ns, int64_t zero_ns)
{
    int64_t off_ns = first_ns - zero_ns, half = ZONE_STEP_NS / 2;
    int64_t zone_ns = (off_ns + (off_ns < 0 ? -half : half)) / ZONE_STEP_NS * ZONE_STEP_NS;
    bool any = zone_ns >= -ZONE_MOST_NS && zone_ns <= ZONE_MOST_NS;
    return any ? zone_ns : 0; /* no zone is that far off: a clock is wrong, or the log another's */
}

static size_t count_lines(const struct node_log *log)
{
    size_t count = log->bytes_read > 0 && log->data[log->bytes_read - 1] != '\n';
    for (const char *at = log->data, *end = log->data + log->bytes_read;
         at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++)
        count++;
    return count;
}

static void place_line(const struct reading *reading, struct node_log *log, struct node_line *line,
                       const int64_t *zone_ns)
{
    struct log_time time;
    if (!log_time_read(line->text, line->length, &time))
        return;
    line->ns = time.ns - (time.zoned ? 0 : *zone_ns) - reading->zero_ns;
    if (log->first_ns == NODE_LOG_UNPLACED || line->ns < log->first_ns)
        log->first_ns = line->ns;
    if (log->last_ns == NODE_LOG_UNPLACED || line->ns > log->last_ns)
        log->last_ns = line->ns;
}

static int64_t find_zone(const struct reading *reading, const struct node_log *log)
{
    struct log_time time;
    for (size_t i = 0; i < log->line_count; i++)
        if (log_time_read(log->lines[i].text, log->lines[i].length, &time) && !time.zoned)
            return zone_of(time.ns, reading->zero_ns);
    return 0;
}

static void split(struct reading *reading, struct node_log *log)
{
    size_t count = count_lines(log), room = reading->lines_left;
    log->cut = count > room || log->bytes_read < log->bytes;
    count = count > room ? room : count;
    log->lines = calloc(count + 1, sizeof *log->lines);
    if (log->lines == NULL)
        return;
    reading->lines_left -= count;
    for (const char *at = log->data, *end = log->data + log->bytes_read; log->line_count < count;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((newline == NULL ? end : newline) - at);
        log->lines[log->line_count++] =
            (struct node_line){.log = log,
                               .text = at,
                               .length = length > INT_MAX ? INT_MAX : (uint32_t)length,
                               .ns = NODE_LOG_UNPLACED};
        at += length + 1;
    }
    if (!reading->logs->zero_known)
        return;
    int64_t zone_ns = find_zone(reading, log), last_ns = NODE_LOG_UNPLACED;
    for (size_t i = 0; i < log->line_count; i++) {
        place_line(reading, log, &log->lines[i], &zone_ns);
        if (log->lines[i].ns == NODE_LOG_UNPLACED)
            log->lines[i].ns = last_ns;
        last_ns = log->lines[i].ns;
    }
}

/* All of it, or as much as may still be kept. */
static char *take_bytes(struct reading *reading, int fd, struct node_log *log)
{
    size_t room = reading->bytes_left < log->bytes ? reading->bytes_left : log->bytes;
    char *data = malloc(room + 1);
    size_t length = 0;
    ssize_t more = 1;
    while (data != NULL && length < room && more > 0) {
        more = read(fd, data + length, room - length);
        length += more > 0 ? (size_t)more : 0;
    }
    log->bytes_read = length;
    reading->bytes_left -= length;
    return data;
}

static void read_log(struct reading *reading, const char *directory, const char *node,
                     const char *file)
{
    struct node_logs *logs = reading->logs;
    char *path = arena_printf(&logs->arena, "%s/nodes/%s/%s", directory, node, file);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        struct node_log *log = &logs->logs[logs->count];
        *log = (struct node_log){.node = node,
                                 .file = file,
                                 .bytes = (size_t)status.st_size,
                                 .first_ns = NODE_LOG_UNPLACED,
                                 .last_ns = NODE_LOG_UNPLACED};
        log->data = take_bytes(reading, fd, log);
        if (log->data != NULL) {
            logs->count++;
            split(reading, log);
        }
    }
    close(fd);
}

void node_logs_read(const struct run *run, struct node_logs *logs)
{
    *logs = (struct node_logs){.arena = ARENA_INIT};
    if (run->directory == NULL)
        return;
    struct reading reading = {.logs = logs, .lines_left = LINES_MAX, .bytes_left = BYTES_MAX};
    struct log_time zero;
    const char *text = json_as_text(json_get(json_get(run->results, "test"), "time-zero"), "");
    logs->zero_known = log_time_read(text, strlen(text), &zero);
    reading.zero_ns = logs->zero_known ? zero.ns : 0;
    char **nodes, **files;
    size_t node_count = list_directory(arena_printf(&logs->arena, "%s/nodes", run->directory),
                                       NODES_MAX, &logs->arena, &nodes);
    logs->logs = arena_zalloc(&logs->arena, (node_count * FILES_MAX + 1) * sizeof *logs->logs);
    for (size_t i = 0; i < node_count; i++) {
        const char *path = arena_printf(&logs->arena, "%s/nodes/%s", run->directory, nodes[i]);
        size_t file_count = list_directory(path, FILES_MAX, &logs->arena, &files);
        for (size_t j = 0; j < file_count; j++)
            read_log(&reading, run->directory, nodes[i], files[j]);
    }
}

void node_logs_free(struct node_logs *logs)
{
    for (size_t i = 0; i < logs->count; i++) {
        free(logs->logs[i].lines);
        free(logs->logs[i].data);
    }
    arena_free(&logs->arena);
}

/* ---- Near to something ---- */

static uint64_t apart(int64_t a, int64_t b)
{
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

static uint64_t distance(int64_t ns, const int64_t *times_ns, size_t count)
{
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < count; i++)
        least = apart(ns, times_ns[i]) < least ? apart(ns, times_ns[i]) : least;
    return least;
}

static int by_time(const void *a, const void *b)
{
    const struct node_line *x = a, *y = b;
    if (x->ns != y->ns)
        return x->ns < y->ns ? -1 : 1;
    if (x->log != y->log)
        return x->log < y->log ? -1 : 1;
    return (x->text > y->text) - (x->text < y->text);
}

size_t node_logs_near(const struct node_logs *logs, const int64_t *times_ns, size_t time_count,
                      int64_t within_ns, struct node_line *lines, size_t most, size_t *total)
{
    uint64_t *far = calloc(most + 1, sizeof *far);
    size_t count = 0;
    *total = 0;
    for (size_t i = 0; far != NULL && i < logs->count; i++)
        for (size_t j = 0; j < logs->logs[i].line_count; j++) {
            const struct node_line *line = &logs->logs[i].lines[j];
            if (line->ns == NODE_LOG_UNPLACED || line->ns < 0)
                continue;
            uint64_t away = distance(line->ns, times_ns, time_count);
            if (away > (uint64_t)within_ns)
                continue;
            ++*total;
            if (count == most && (most == 0 || away >= far[count - 1]))
                continue;
            size_t at = count < most ? count++ : count - 1;
            for (; at > 0 && far[at - 1] > away; at--) {
                far[at] = far[at - 1];
                lines[at] = lines[at - 1];
            }
            far[at] = away;
            lines[at] = *line;
        }
    free(far);
    qsort(lines, count, sizeof *lines, by_time);
    return count;
}

/* ---- Patterns ---- */

static bool matches(const regex_t *pattern, const struct node_line *line)
{
    char text[LINE_MATCHED_MAX + 1];
    size_t length = line->length < LINE_MATCHED_MAX ? line->length : LINE_MATCHED_MAX;
    memcpy(text, line->text, length);
    text[length] = '\0';
    return regexec(pattern, text, 0, NULL, 0) == 0;
}

static void match_log(const struct node_log *log, const regex_t *pattern, const char *kind,
                      size_t most, node_logs_each *each, void *state)
{
    size_t found = 0;
    for (size_t i = 0; i < log->line_count && found < most; i++)
        if (log->lines[i].ns != NODE_LOG_UNPLACED && matches(pattern, &log->lines[i])) {
            found++;
            each(state, kind, &log->lines[i]);
        }
}

void node_logs_match(const struct node_logs *logs, const struct json *patterns, size_t most,
                     node_logs_each *each, void *state)
{
    size_t kinds = 0;
    for (const struct json *one = json_first(patterns); one != NULL && kinds < KINDS_MAX;
         one = json_next(one), kinds++) {
        regex_t pattern;
        const char *kind = json_as_text(json_get(one, "kind"), "log");
        if (regcomp(&pattern, json_as_text(json_get(one, "pattern"), "$^"),
                    REG_EXTENDED | REG_NOSUB) != 0)
            continue; /* told when the plan was made; a report is made of what there is */
        for (size_t i = 0; i < logs->count; i++)
            match_log(&logs->logs[i], &pattern, kind, most, each, state);
        regfree(&pattern);
    }
}
