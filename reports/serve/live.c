/* A run that goes on: see live.h. */
#include "reports/serve/live.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/history_file.h"
#include "reports/serve/files.h"
#include "reports/serve/runs.h"

enum { OPEN_MAX = 4096, FAULTS_MAX = 32, LATENCIES_MAX = 65536, TAIL_BYTES = 4096 };

struct open_op {
    int32_t process;
    int64_t time_ns;
};

struct live {
    char *store, *run;
    int fd;
    struct history_reader *reader;
    struct history history; /* emptied after each block: only sums are kept */
    int64_t elapsed_ns, stepped_ns;
    uint64_t ok, fail, info, told;
    struct open_op open[OPEN_MAX];
    size_t open_count;
    int64_t latencies[LATENCIES_MAX]; /* of this step; past that many a sample */
    size_t latency_count;
    struct fault_count {
        char *name;
        uint32_t starts, stops; /* events, two for each: asked, and done */
    } faults[FAULTS_MAX];
    size_t fault_count;
};

struct live *live_open(const char *store, const char *run)
{
    struct buf path = BUF_INIT;
    off_t bytes;
    buf_printf(&path, "%s/" HISTORY_FILE_NAME, run);
    int fd = files_open(store, buf_text(&path), &bytes);
    struct history_reader *reader = NULL;
    struct live *live = NULL;
    if (fd >= 0 && history_reader_open_fd(fd, buf_text(&path), &reader, NULL) == ERR_NONE)
        live = calloc(1, sizeof *live);
    buf_free(&path);
    if (live == NULL) {
        history_reader_close(reader);
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    live->fd = fd;
    live->reader = reader;
    live->store = strdup(store);
    live->run = strdup(run);
    if (live->store == NULL || live->run == NULL)
        abort();
    history_init(&live->history);
    live->stepped_ns = clock_monotonic_ns();
    return live;
}

void live_close(struct live *live)
{
    if (live == NULL)
        return;
    for (size_t i = 0; i < live->fault_count; i++)
        free(live->faults[i].name);
    history_reader_close(live->reader);
    history_free(&live->history);
    close(live->fd);
    free(live->store);
    free(live->run);
    free(live);
}

/* ---- The history ---- */

static void take_invocation(struct live *live, int32_t process, int64_t time_ns)
{
    if (live->open_count < OPEN_MAX)
        live->open[live->open_count++] = (struct open_op){process, time_ns};
}

static void take_completion(struct live *live, enum op_type type, int32_t process, int64_t time_ns)
{
    live->ok += type == OP_OK;
    live->fail += type == OP_FAIL;
    live->info += type == OP_INFO;
    for (size_t i = 0; i < live->open_count; i++) {
        if (live->open[i].process != process)
            continue;
        int64_t took_ns = time_ns - live->open[i].time_ns;
        live->open[i] = live->open[--live->open_count];
        if (type == OP_OK)
            live->latencies[live->latency_count++ % LATENCIES_MAX] = took_ns;
        return;
    }
}

static struct fault_count *fault_named(struct live *live, const char *name)
{
    for (size_t i = 0; i < live->fault_count; i++)
        if (strcmp(live->faults[i].name, name) == 0)
            return &live->faults[i];
    if (live->fault_count == FAULTS_MAX)
        return NULL;
    struct fault_count *fault = &live->faults[live->fault_count++];
    fault->name = strdup(name);
    if (fault->name == NULL)
        abort();
    return fault;
}

/* "start-partition" begins the fault "partition", "stop-partition" ends it. */
static void take_fault(struct live *live, const char *f)
{
    bool starts = text_starts(f, "start-");
    if (!starts && !text_starts(f, "stop-"))
        return;
    struct fault_count *fault = fault_named(live, strchr(f, '-') + 1);
    if (fault != NULL && starts)
        fault->starts++;
    else if (fault != NULL)
        fault->stops++;
}

static void take_block(struct live *live)
{
    const struct history *history = &live->history;
    for (uint32_t i = 0; i < history->count; i++) {
        int32_t process = history->process[i];
        int64_t time_ns = history->time_ns[i];
        if (time_ns > live->elapsed_ns)
            live->elapsed_ns = time_ns;
        if (process == PROCESS_NEMESIS)
            take_fault(live, history_f_name(history, i));
        else if (process >= 0 && history->type[i] == OP_INVOKE)
            take_invocation(live, process, time_ns);
        else if (process >= 0)
            take_completion(live, history->type[i], process, time_ns);
    }
    history_free(&live->history);
    history_init(&live->history);
}

static void read_on(struct live *live)
{
    bool more = true;
    while (more && history_reader_next(live->reader, &live->history, &more, NULL) == ERR_NONE)
        take_block(live);
}

/* ---- Telling ---- */

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static struct json *quantile_ms(const struct live *live, size_t count, double share)
{
    if (count == 0)
        return json_null();
    return json_real((double)live->latencies[(size_t)(share * (double)(count - 1))] / NS_PER_MS);
}

static void tell_latency(struct live *live, struct json *out)
{
    size_t count = live->latency_count < LATENCIES_MAX ? live->latency_count : LATENCIES_MAX;
    qsort(live->latencies, count, sizeof *live->latencies, by_size);
    json_set(out, "p50-ms", quantile_ms(live, count, 0.5));
    json_set(out, "p99-ms", quantile_ms(live, count, 0.99));
    live->latency_count = 0;
}

static void tell_rate(struct live *live, struct json *out)
{
    int64_t now_ns = clock_monotonic_ns();
    uint64_t all = live->ok + live->fail + live->info;
    double seconds = (double)(now_ns - live->stepped_ns) / NS_PER_SECOND;
    json_set_real(out, "rate", seconds > 0 ? (double)(all - live->told) / seconds : 0);
    live->told = all;
    live->stepped_ns = now_ns;
}

/* The last whole line of the log. */
static void tell_log(const struct live *live, struct json *out)
{
    struct buf path = BUF_INIT;
    off_t bytes;
    char tail[TAIL_BYTES + 1];
    buf_printf(&path, "%s/ordeal.log", live->run);
    int fd = files_open(live->store, buf_text(&path), &bytes);
    buf_free(&path);
    if (fd < 0)
        return;
    ssize_t got = pread(fd, tail, TAIL_BYTES, bytes > TAIL_BYTES ? bytes - TAIL_BYTES : 0);
    close(fd);
    while (got > 0 && tail[got - 1] == '\n')
        got--;
    if (got <= 0)
        return;
    tail[got] = '\0';
    const char *newline = memrchr(tail, '\n', (size_t)got);
    json_set_text(out, "log", newline == NULL ? tail : newline + 1);
}

static bool tell_results(const struct live *live, struct json *out)
{
    struct buf path = BUF_INIT;
    struct json *results;
    buf_printf(&path, "%s/results.json", live->run);
    bool ended = files_read_json(live->store, buf_text(&path), &results);
    buf_free(&path);
    if (results != NULL) {
        enum verdict verdict = verdict_from_json(json_get(results, "valid"));
        json_set_text(out, "verdict", verdict_name(verdict));
        json_set_text(out, "reason", verdict_reason(results, verdict));
    }
    json_free(results);
    return ended;
}

static void tell_faults(const struct live *live, struct json *out)
{
    struct json *in_force = json_set(out, "faults", json_array());
    int64_t so_far = 0;
    for (size_t i = 0; i < live->fault_count; i++) {
        const struct fault_count *fault = &live->faults[i];
        if (fault->starts / 2 > fault->stops / 2)
            json_add(in_force, json_text(fault->name));
        so_far += fault->starts / 2;
    }
    json_set_int(out, "faults-so-far", so_far);
}

void live_step(struct live *live, struct buf *out, bool *ended)
{
    struct json *told = json_object();
    *ended = tell_results(live, told);
    read_on(live);
    json_set_real(told, "elapsed-s", (double)live->elapsed_ns / NS_PER_SECOND);
    json_set_int(told, "ok", (int64_t)live->ok);
    json_set_int(told, "fail", (int64_t)live->fail);
    json_set_int(told, "info", (int64_t)live->info);
    json_set_int(told, "open", (int64_t)live->open_count);
    tell_rate(live, told);
    tell_latency(live, told);
    tell_faults(live, told);
    tell_log(live, told);
    json_print(told, JSON_COMPACT, out);
    json_free(told);
}
