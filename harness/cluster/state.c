/* The state file: see state.h. */
#include "harness/cluster/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/line.h"
#include "harness/base/text.h"

static const char state_name[] = "state";
enum { STATE_VERSION = 1 };

static void read_boot(char *boot, size_t size)
{
    struct buf text = BUF_INIT;
    if (file_read("/proc/sys/kernel/random/boot_id", 1 << 20, &text, NULL) != ERR_NONE)
        buf_clear(&text);
    snprintf(boot, size, "%.*s", (int)strcspn(buf_text(&text), "\n"), buf_text(&text));
    buf_free(&text);
}

void state_init(struct state *state, int node_count)
{
    *state = (struct state){.node_count = node_count, .since_wall_ns = clock_wall_ns()};
    read_boot(state->boot, sizeof state->boot);
}

static void format_process(struct buf *text, const struct process_id *process)
{
    line_key_int(text, "pid", process->pid);
    line_key_int(text, "start", (int64_t)process->start_ticks);
    line_end(text);
}

void state_format(const struct state *state, struct buf *text)
{
    line_field(text, "cluster");
    line_key_int(text, "version", STATE_VERSION);
    line_key_int(text, "nodes", state->node_count);
    line_key_int(text, "ready", state->ready);
    line_key_int(text, "ephemeral", state->ephemeral);
    line_key_int(text, "ipv6", state->ipv6);
    line_key_int(text, "since", state->since_wall_ns);
    line_key(text, "boot", state->boot);
    line_end(text);
    line_field(text, "keeper");
    format_process(text, &state->keeper);
    for (int i = 0; i < state->node_count; i++) {
        line_field(text, "node");
        line_key_int(text, "number", i + 1);
        format_process(text, &state->nodes[i]);
    }
    line_field(text, "end");
    line_end(text);
}

static struct process_id parse_process(const struct line *line)
{
    int64_t pid = line_get_int(line, "pid", 0), start = line_get_int(line, "start", 0);
    if (pid <= 0 || pid > INT32_MAX)
        return (struct process_id){.pid = 0};
    return (struct process_id){.pid = (pid_t)pid, .start_ticks = (uint64_t)start};
}

static enum err_code parse_cluster(const struct line *line, struct state *state, struct err *err)
{
    int64_t version = line_get_int(line, "version", 0), nodes = line_get_int(line, "nodes", 0);
    if (version != STATE_VERSION)
        return err_set(err, ERR_PARSE, "version %" PRId64 " of the file is not known", version);
    if (nodes < 1 || nodes > CLUSTER_NODES_MAX)
        return err_set(err, ERR_PARSE, "%" PRId64 " nodes", nodes);
    const char *boot = line_get(line, "boot");
    snprintf(state->boot, sizeof state->boot, "%s", boot != NULL ? boot : "");
    state->node_count = (int)nodes;
    state->ready = line_get_int(line, "ready", 0) != 0;
    state->ephemeral = line_get_int(line, "ephemeral", 0) != 0;
    state->ipv6 = line_get_int(line, "ipv6", 0) != 0;
    state->since_wall_ns = line_get_int(line, "since", 0);
    return ERR_NONE;
}

static enum err_code parse_line(const struct line *line, struct state *state, bool *ended,
                                struct err *err)
{
    const char *kind = line_at(line, 0);
    if (strcmp(kind, "cluster") == 0)
        return parse_cluster(line, state, err);
    if (strcmp(kind, "end") == 0) {
        *ended = true;
        return ERR_NONE;
    }
    if (strcmp(kind, "keeper") == 0) {
        state->keeper = parse_process(line);
        return ERR_NONE;
    }
    int64_t number = line_get_int(line, "number", 0);
    if (strcmp(kind, "node") != 0 || number < 1 || number > state->node_count)
        return err_set(err, ERR_PARSE, "unexpected line '%.40s'", kind);
    state->nodes[number - 1] = parse_process(line);
    return ERR_NONE;
}

enum err_code state_parse(const char *text, size_t length, struct state *state, struct err *err)
{
    struct arena arena = ARENA_INIT;
    struct state parsed = {.node_count = 0};
    enum err_code code = ERR_NONE;
    bool ended = false;
    for (size_t at = 0; at < length && code == ERR_NONE && !ended;) {
        const char *newline = memchr(text + at, '\n', length - at);
        size_t line_length = newline != NULL ? (size_t)(newline - text) - at : length - at;
        struct line line;
        code = line_parse(&arena, text + at, line_length, &line, err);
        if (code == ERR_NONE)
            code = parse_line(&line, &parsed, &ended, err);
        at += line_length + 1;
    }
    arena_free(&arena);
    if (code == ERR_NONE && (!ended || parsed.node_count == 0 || parsed.keeper.pid == 0))
        code = err_set(err, ERR_PARSE, "the file is cut short");
    if (code == ERR_NONE)
        *state = parsed;
    return code;
}

enum err_code state_write(const struct place *place, const struct state *state, struct err *err)
{
    char path[PLACE_PATH_MAX];
    place_join(place->state_dir, state_name, path);
    struct buf text = BUF_INIT;
    state_format(state, &text);
    enum err_code code = place_write_file(path, buf_text(&text), 0600, err);
    buf_free(&text);
    return code;
}

enum err_code state_read(const struct place *place, struct state *state, struct err *err)
{
    char path[PLACE_PATH_MAX];
    place_join(place->state_dir, state_name, path);
    struct buf text = BUF_INIT;
    enum err_code code = file_read(path, 1 << 20, &text, err);
    if (code == ERR_NONE) {
        code = state_parse(buf_text(&text), text.length, state, err);
        if (code != ERR_NONE)
            err_wrap(err, "read %s", path);
    }
    buf_free(&text);
    return code;
}

bool state_alive(const struct state *state)
{
    char boot[sizeof state->boot];
    read_boot(boot, sizeof boot);
    return strcmp(boot, state->boot) == 0 && process_alive(&state->keeper);
}
