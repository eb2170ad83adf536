/* From bytes to verbs: lines are cut, parsed, checked against the verb's fields, and called.
 *
 * A verb's function can rely on what its table says: required fields are there, numbers are numbers
 * within their bounds, names are names, and there is no field that the verb does not know. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/agent/agentd.h"
#include "harness/base/clock.h"

enum { FIELDS_MAX = 16, GRACE_MS_MAX = 600000 };

#define CLOCK_OFFSET_NS_MAX (INT64_C(20) * 365 * 86400 * NS_PER_SECOND)
#define DELAY_US_MAX (60 * INT64_C(1000000))

enum field_flags {
    REQUIRED = 1,
    REPEATED = 2,
    NAME = 4,   /* 1 to 64 of letters, digits and . _ : @ + - */
    NUMBER = 8, /* within min and max */
};

struct field {
    const char *key;
    int flags;
    int64_t min, max;
};

#define TEXT(key_name, flag_bits)                                                                  \
    {                                                                                              \
        .key = (key_name), .flags = (flag_bits)                                                    \
    }
#define BETWEEN(key_name, flag_bits, least, most)                                                  \
    {                                                                                              \
        .key = (key_name), .flags = (flag_bits), .min = (least), .max = (most)                     \
    }

#define SHAPE_FIELDS                                                                               \
    BETWEEN("delay_us", NUMBER, 0, DELAY_US_MAX), BETWEEN("jitter_us", NUMBER, 0, DELAY_US_MAX),   \
        TEXT("distribution", 0), BETWEEN("loss_ppm", NUMBER, 0, AGENTD_PPM),                       \
        BETWEEN("duplicate_ppm", NUMBER, 0, AGENTD_PPM),                                           \
        BETWEEN("reorder_ppm", NUMBER, 0, AGENTD_PPM),                                             \
        BETWEEN("reorder_us", NUMBER, 0, DELAY_US_MAX),                                            \
        BETWEEN("corrupt_ppm", NUMBER, 0, AGENTD_PPM),                                             \
        BETWEEN("rate_bps", NUMBER, 0, INT64_C(1000000000000))

static const struct verb {
    const char *name;
    agentd_verb *call;
    struct field fields[FIELDS_MAX + 1];
} verbs[] = {
    {"ping", agentd_ping, {{.key = NULL}}},
    {"clock", agentd_clock, {{.key = NULL}}},
    {"daemon-start",
     agentd_daemon_start,
     {TEXT("name", REQUIRED | NAME), TEXT("arg", REQUIRED | REPEATED), TEXT("env", REPEATED),
      TEXT("cwd", 0), TEXT("user", 0), TEXT("log", 0), TEXT("limit", REPEATED)}},
    {"daemon-stop",
     agentd_daemon_stop,
     {TEXT("name", REQUIRED | NAME), BETWEEN("grace_ms", NUMBER, 0, GRACE_MS_MAX)}},
    {"daemon-signal",
     agentd_daemon_signal,
     {TEXT("name", REQUIRED | NAME), TEXT("signal", REQUIRED | NAME)}},
    {"daemon-status", agentd_daemon_status, {TEXT("name", REQUIRED | NAME)}},
    {"daemon-list", agentd_daemon_list, {{.key = NULL}}},
    {"process-signal",
     agentd_process_signal_verb,
     {TEXT("comm", REQUIRED | NAME), TEXT("signal", REQUIRED | NAME)}},
    {"fault-block",
     agentd_fault_block,
     {TEXT("id", REQUIRED | NAME), TEXT("from", REPEATED), TEXT("to", REPEATED),
      BETWEEN("port", NUMBER, 1, 65535), TEXT("proto", 0), TEXT("packets", 0)}},
    {"connections", agentd_connections_verb, {TEXT("peer", REQUIRED | REPEATED)}},
    {"connections-reset", agentd_connections_verb, {TEXT("peer", REQUIRED | REPEATED)}},
    {"shape-means", agentd_shape_means, {TEXT("id", NAME), TEXT("to", REPEATED), SHAPE_FIELDS}},
    {"fault-shape",
     agentd_fault_shape,
     {TEXT("id", REQUIRED | NAME), TEXT("means", NAME), TEXT("from", REPEATED),
      TEXT("to", REPEATED), BETWEEN("port", NUMBER, 1, 65535), TEXT("proto", 0), SHAPE_FIELDS}},
    {"fault-undo", agentd_fault_undo, {TEXT("id", REQUIRED)}},
    {"fault-list", agentd_fault_list, {{.key = NULL}}},
    {"fault-counters", agentd_fault_counters, {TEXT("id", REQUIRED)}},
    {"disk-give",
     agentd_disk_verb,
     {TEXT("path", REQUIRED), TEXT("file_system", 0), BETWEEN("size_mb", NUMBER, 16, 1 << 20)}},
    {"disk-stall", agentd_disk_verb, {TEXT("path", REQUIRED)}},
    {"disk-cut", agentd_disk_verb, {TEXT("path", REQUIRED)}},
    {"disk-back", agentd_disk_back_verb, {TEXT("path", REQUIRED)}},
    {"clock-skew",
     agentd_clock_skew,
     {TEXT("id", REQUIRED | NAME), TEXT("daemon", NAME), TEXT("comm", NAME), TEXT("means", 0),
      BETWEEN("offset_ns", NUMBER, -CLOCK_OFFSET_NS_MAX, CLOCK_OFFSET_NS_MAX),
      BETWEEN("rate_ppm", NUMBER, -900000, AGENTD_RATE_PPM_MAX),
      BETWEEN("strobe_ms", NUMBER, 5, GRACE_MS_MAX), TEXT("clocks", 0), TEXT("file", 0)}},
    {"clock-set",
     agentd_clock_set,
     {TEXT("id", REQUIRED | NAME), TEXT("controller_boot", REQUIRED),
      BETWEEN("offset_ns", NUMBER, -CLOCK_OFFSET_NS_MAX, CLOCK_OFFSET_NS_MAX),
      BETWEEN("rate_ppm", NUMBER, -AGENTD_DRIFT_PPM_MAX, AGENTD_DRIFT_PPM_MAX),
      BETWEEN("strobe_ms", NUMBER, 5, GRACE_MS_MAX)}},
    {"clock-means", agentd_clock_means, {TEXT("controller_boot", REQUIRED)}},
    {"clock-view", agentd_clock_view, {TEXT("daemon", NAME), TEXT("comm", NAME)}},
    {"limit-check",
     agentd_limit_check,
     {TEXT("what", REQUIRED | NAME), TEXT("means", NAME), BETWEEN("value", NUMBER, 0, 1 << 20)}},
    {"limit-begin",
     agentd_limit_begin,
     {TEXT("what", REQUIRED | NAME), TEXT("name", NAME), TEXT("comm", NAME), TEXT("means", NAME),
      BETWEEN("value", NUMBER | REQUIRED, 0, 1 << 20), BETWEEN("count", NUMBER, 1, 64),
      BETWEEN("share", NUMBER, 1, 64)}},
    {"node-reboot", agentd_node_reboot, {TEXT("how", REQUIRED | NAME)}},
    {"limit-look", agentd_limit_look, {TEXT("id", REQUIRED)}},
    {"disk-fault",
     agentd_disk_fault,
     {TEXT("id", REQUIRED | NAME), TEXT("path", REQUIRED), TEXT("io", REQUIRED),
      TEXT("op", REPEATED), TEXT("files", 0), BETWEEN("delay_ms", NUMBER, 1, 3000),
      BETWEEN("bytes", NUMBER, 0, INT64_MAX), BETWEEN("chance", NUMBER, 1, 1000),
      BETWEEN("seed", NUMBER, INT64_MIN, INT64_MAX)}},
    {"disk-remember",
     agentd_disk_remember,
     {TEXT("id", REQUIRED | NAME), TEXT("path", REQUIRED), TEXT("files", 0)}},
    {"disk-damage",
     agentd_disk_damage,
     {TEXT("id", REQUIRED | NAME), TEXT("path", REQUIRED), TEXT("kind", REQUIRED | NAME),
      TEXT("files", 0), BETWEEN("place", NUMBER, 0, 1000),
      BETWEEN("seed", NUMBER, INT64_MIN, INT64_MAX)}},
    {"disk-restore", agentd_disk_restore, {TEXT("id", REQUIRED), BETWEEN("drop", NUMBER, 0, 1)}},
    {"disk-counters", agentd_disk_counters, {TEXT("id", REQUIRED)}},
    {"probe-listen", agentd_probe_listen, {BETWEEN("port", REQUIRED | NUMBER, 0, 65535)}},
    {"probe-send",
     agentd_probe_send,
     {TEXT("to", REQUIRED), BETWEEN("port", REQUIRED | NUMBER, 1, 65535),
      TEXT("nonce", REQUIRED | NAME), BETWEEN("count", NUMBER, 1, AGENTD_PROBE_COUNT_MAX)}},
    {"probe-wait",
     agentd_probe_wait,
     {TEXT("nonce", REQUIRED | NAME), TEXT("from", 0),
      BETWEEN("timeout_ms", NUMBER, 0, GRACE_MS_MAX)}},
    {"gauge-listen", agentd_gauge_listen, {{.key = NULL}}},
    {"gauge-send",
     agentd_gauge_send,
     {TEXT("to", REQUIRED), BETWEEN("port", REQUIRED | NUMBER, 1, 65535),
      BETWEEN("run", REQUIRED | NUMBER, 1, INT64_MAX),
      BETWEEN("count", REQUIRED | NUMBER, 1, AGENTD_GAUGE_COUNT_MAX),
      BETWEEN("size", NUMBER, 0, AGENTD_GAUGE_SIZE_MAX), BETWEEN("echo", NUMBER, 0, 1)}},
    {"gauge-read", agentd_gauge_read, {BETWEEN("run", REQUIRED | NUMBER, 1, INT64_MAX)}},
    {"heal", agentd_heal, {{.key = NULL}}},
    {"read-file",
     agentd_read_file,
     {TEXT("path", REQUIRED), BETWEEN("tail", NUMBER, 1, INT64_C(256) << 10)}},
    {"shutdown",
     agentd_shutdown,
     {BETWEEN("grace_ms", NUMBER, 0, GRACE_MS_MAX), BETWEEN("keep_daemons", NUMBER, 0, 1)}},
};

static const struct verb *find_verb(const char *name)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        if (strcmp(verbs[i].name, name) == 0)
            return &verbs[i];
    return NULL;
}

static bool is_name(const char *text)
{
    size_t length = strlen(text);
    if (length == 0 || length > 64)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)text[i]) && strchr("._:@+-", text[i]) == NULL)
            return false;
    return true;
}

static enum err_code check_number(const struct field *rule, const char *text, struct err *err)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < rule->min || value > rule->max)
        return err_set(err, ERR_CONFIG, "%s: '%s' is not a number from %" PRId64 " to %" PRId64,
                       rule->key, text, rule->min, rule->max);
    return ERR_NONE;
}

static enum err_code check_field(const struct verb *verb, const struct line_field *field,
                                 uint32_t *seen, struct err *err)
{
    const char *equals = strchr(field->text, '=');
    size_t length = equals == NULL ? 0 : (size_t)(equals - field->text);
    if (length == 0)
        return err_set(err, ERR_CONFIG, "'%.80s' is not a key=value field", field->text);
    if (strlen(field->text) != field->length)
        return err_set(err, ERR_CONFIG, "%.*s: it holds a NUL byte", (int)length, field->text);
    for (size_t i = 0; i < FIELDS_MAX && verb->fields[i].key != NULL; i++) {
        const struct field *rule = &verb->fields[i];
        if (strlen(rule->key) != length || memcmp(rule->key, field->text, length) != 0)
            continue;
        if (seen[i]++ > 0 && (rule->flags & REPEATED) == 0)
            return err_set(err, ERR_CONFIG, "%s: given twice", rule->key);
        if ((rule->flags & NAME) != 0 && !is_name(equals + 1))
            return err_set(err, ERR_CONFIG,
                           "%s: '%.80s' is not 1 to 64 letters, digits or . _ : @ + -", rule->key,
                           equals + 1);
        return (rule->flags & NUMBER) != 0 ? check_number(rule, equals + 1, err) : ERR_NONE;
    }
    return err_set(err, ERR_CONFIG, "%s has no field '%.*s'", verb->name, (int)length, field->text);
}

static enum err_code check_fields(const struct verb *verb, const struct line *line, struct err *err)
{
    uint32_t seen[FIELDS_MAX] = {0};
    for (uint32_t i = 2; i < line->count; i++)
        if (check_field(verb, &line->fields[i], seen, err) != ERR_NONE)
            return err->code;
    for (size_t i = 0; i < FIELDS_MAX && verb->fields[i].key != NULL; i++)
        if ((verb->fields[i].flags & REQUIRED) != 0 && seen[i] == 0)
            return err_set(err, ERR_CONFIG, "%s: %s needs it", verb->fields[i].key, verb->name);
    return ERR_NONE;
}

void agentd_dispatch(struct agentd *agent, const char *bytes, size_t length, int64_t arrived_ns)
{
    struct line line;
    struct err err = ERR_INIT;
    if (length == 0)
        return; /* an empty line is a heartbeat that wants no answer */
    arena_reset(&agent->scratch);
    if (line_parse(&agent->scratch, bytes, length, &line, &err) != ERR_NONE) {
        agentd_reply_error(agent, "-", "bad-request", "%s", err.message);
        return;
    }
    const char *id = line_at(&line, 0);
    if (*id == '\0' || *id == '!' || strlen(id) != line.fields[0].length ||
        strlen(id) > AGENTD_REQUEST_ID_MAX) {
        agentd_reply_error(agent, "-", "bad-request",
                           "id: the first field must be 1 to %d bytes, not beginning with '!'",
                           AGENTD_REQUEST_ID_MAX);
        return;
    }
    const struct verb *verb = find_verb(line_at(&line, 1));
    if (verb == NULL)
        agentd_reply_error(agent, id, "unknown-verb", "there is no verb '%.80s'",
                           line_at(&line, 1));
    else if (check_fields(verb, &line, &err) != ERR_NONE)
        agentd_reply_err(agent, id, &err);
    else
        verb->call(agent,
                   &(struct agentd_request){.id = id, .line = &line, .arrived_ns = arrived_ns});
}

void agentd_feed(struct agentd *agent, const char *bytes, size_t length, int64_t arrived_ns)
{
    buf_add(&agent->input, bytes, length);
    size_t done = 0;
    const char *newline;
    while (agent->input.length > done &&
           (newline = memchr(agent->input.data + done, '\n', agent->input.length - done)) != NULL) {
        size_t end = (size_t)(newline - agent->input.data);
        if (!agent->skipping)
            agentd_dispatch(agent, agent->input.data + done, end - done, arrived_ns);
        agent->skipping = false;
        done = end + 1;
    }
    buf_consume(&agent->input, done);
    if (agent->skipping) {
        buf_clear(&agent->input);
    } else if (agent->input.length > LINE_BYTES_MAX) {
        agentd_reply_error(agent, "-", "bad-request", "a line of more than %d bytes",
                           LINE_BYTES_MAX);
        agent->skipping = true;
        buf_clear(&agent->input);
    }
}

/* ---- Replies ---- */

struct buf *agentd_reply(struct agentd *agent, const char *request_id)
{
    line_field(&agent->output, request_id);
    line_field(&agent->output, "ok");
    return &agent->output;
}

struct buf *agentd_event(struct agentd *agent, const char *name)
{
    line_field(&agent->output, "!");
    line_field(&agent->output, name);
    return &agent->output;
}

void agentd_reply_error(struct agentd *agent, const char *request_id, const char *code,
                        const char *format, ...)
{
    char message[ERR_MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    line_field(&agent->output, request_id);
    line_field(&agent->output, "err");
    line_field(&agent->output, code);
    line_field(&agent->output, message);
    line_end(&agent->output);
}

void agentd_reply_err(struct agentd *agent, const char *request_id, const struct err *err)
{
    static const char *const codes[] = {
        [ERR_NOMEM] = "limit",
        [ERR_IO] = "failed",
        [ERR_TIMEOUT] = "timeout",
        [ERR_REMOTE] = "failed",
        [ERR_PARSE] = "bad-request",
        [ERR_CONFIG] = "bad-request",
        [ERR_UNSUPPORTED] = "unsupported",
        [ERR_CANCELLED] = "failed",
    };
    agentd_reply_error(agent, request_id, codes[err->code] != NULL ? codes[err->code] : "failed",
                       "%s", err->message);
}
