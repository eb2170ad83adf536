/* Runs made up for tests of reports: see sample_run.h. */
#include "tests/lib/sample_run.h"

#include <stdlib.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/base/prng.h"
#include "tests/lib/test.h"

enum { CLIENTS = 10, KEYS = 8 };

/* ---- Events that tell a story, merged into the traffic by time ---- */

struct scripted {
    int32_t process;
    enum op_type type;
    const char *f;
    int key, value; /* of clients; value -1: nil */
    int64_t time_us;
    const char *error;
};

static const struct scripted quiet[] = {
    {PROCESS_NEMESIS, OP_INFO, "start-partition", 0, 0, 10000000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "start-partition", 0, 0, 10005000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "stop-partition", 0, 0, 20000000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "stop-partition", 0, 0, 20004000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "kill", 0, 0, 30000000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "kill", 0, 0, 30080000, NULL},
    {PROCESS_DAEMON, OP_INFO, "exit", 1, 0, 30090000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "start", 0, 0, 36000000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "start", 0, 0, 36500000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "start-skew", 0, 0, 45000000, NULL},
    {PROCESS_NEMESIS, OP_INFO, "start-skew", 0, 0, 45900000, "no clock to turn on n3"},
};

/* A write that never came back, two that did, and a read of the value that was overwritten. */
static const struct scripted stale[] = {
    {20, OP_INVOKE, "write", 3, 44, 19000100, NULL},
    {21, OP_INVOKE, "write", 3, 41, 19100000, NULL},
    {21, OP_OK, "write", 3, 41, 19104000, NULL},
    {22, OP_INVOKE, "write", 3, 42, 19300000, NULL},
    {22, OP_OK, "write", 3, 42, 19310500, NULL},
    {23, OP_INVOKE, "read", 3, -1, 20400000, NULL},
    {23, OP_OK, "read", 3, 41, 20400900, NULL},
    {PROCESS_DAEMON, OP_INFO, "exit", 0, 0, 52000000, NULL},
};

static struct value exit_value(struct arena *arena, bool asked)
{
    struct value items[8] = {
        value_keyword(arena, "node"),   value_string(arena, asked ? "n2" : "n4"),
        value_keyword(arena, "name"),   value_string(arena, "etcd"),
        value_keyword(arena, "signal"), value_int(arena, asked ? 9 : 11),
        value_keyword(arena, "asked"),  value_bool(asked),
    };
    return value_items(arena, VALUE_MAP, items, 8);
}

static uint32_t append(struct history *history, int32_t process, enum op_type type, const char *f,
                       struct value value, struct value error, int64_t time_ns)
{
    enum err_code code = ERR_NONE;
    struct op op = {.process = process,
                    .type = type,
                    .f = history_f(history, f),
                    .value = value,
                    .error = error,
                    .time_ns = time_ns};
    uint32_t index = history_append(history, &op, &code);
    assert_int_equal(code, ERR_NONE);
    return index;
}

static uint32_t append_scripted(struct history *history, const struct scripted *event)
{
    struct arena arena = ARENA_INIT;
    struct value value = value_nil(), error = value_nil();
    if (event->process >= 0)
        value = value_pair(&arena, value_int(NULL, event->key),
                           event->value < 0 ? value_nil() : value_int(NULL, event->value));
    else if (event->process == PROCESS_DAEMON)
        value = exit_value(&arena, event->key == 1);
    if (event->error != NULL)
        error =
            value_pair(&arena, value_keyword(&arena, "failed"), value_string(&arena, event->error));
    uint32_t index = append(history, event->process, event->type, event->f, value, error,
                            event->time_us * NS_PER_US);
    arena_free(&arena);
    return index;
}

/* ---- Traffic ---- */

struct client {
    int64_t next_ns;
    int32_t process;
    bool busy;
    const char *f;
    enum op_type outcome;
    struct value value, error;
};

struct traffic {
    struct history *history;
    struct arena arena;
    struct prng prng;
    struct client clients[CLIENTS];
    struct value timeout, mismatch;
    int32_t process_next;
    double pause_ns;
    const struct scripted *scripted[2];
    size_t left[2];
    uint32_t story[16]; /* indices of the stale events */
    size_t story_count;
};

static int64_t latency_ns(struct traffic *traffic, bool slow)
{
    double spread = prng_unit(&traffic->prng) + prng_unit(&traffic->prng);
    double ns = 4e5 + spread * spread * 2e6 + prng_exponential(&traffic->prng, 5e5);
    return (int64_t)(slow ? ns * 12 : ns);
}

static bool is_faulty(int64_t ns)
{
    return (ns > 10 * NS_PER_SECOND && ns < 20 * NS_PER_SECOND) ||
           (ns > 30 * NS_PER_SECOND && ns < 36 * NS_PER_SECOND);
}

static void invoke(struct traffic *traffic, struct client *client)
{
    int64_t now_ns = client->next_ns;
    bool faulty = is_faulty(now_ns);
    uint64_t draw = prng_below(&traffic->prng, 100);
    struct value key = value_int(NULL, (int64_t)prng_below(&traffic->prng, KEYS));
    struct value old = value_int(NULL, (int64_t)prng_below(&traffic->prng, 5));
    struct value new = value_int(NULL, (int64_t)prng_below(&traffic->prng, 5));
    client->f = draw < 50 ? "read" : draw < 80 ? "write" : "cas";
    struct value asked = draw < 50   ? value_nil()
                         : draw < 80 ? new
                                     : value_pair(&traffic->arena, old, new);
    append(traffic->history, client->process, OP_INVOKE, client->f,
           value_pair(&traffic->arena, key, asked), value_nil(), now_ns);
    client->value = value_pair(&traffic->arena, key, draw < 50 ? new : asked);
    client->outcome = OP_OK;
    client->error = value_nil();
    if (faulty && prng_below(&traffic->prng, 5) == 0) {
        client->outcome = OP_INFO;
        client->error = traffic->timeout;
    } else if (draw >= 80 && prng_below(&traffic->prng, 3) > 0) {
        client->outcome = OP_FAIL;
        client->error = traffic->mismatch;
    }
    client->next_ns += client->outcome == OP_INFO ? NS_PER_SECOND : latency_ns(traffic, faulty);
    client->busy = true;
}

static void complete(struct traffic *traffic, struct client *client)
{
    append(traffic->history, client->process, client->outcome, client->f, client->value,
           client->error, client->next_ns);
    if (client->outcome == OP_INFO)
        client->process = traffic->process_next++;
    client->next_ns += (int64_t)prng_exponential(&traffic->prng, traffic->pause_ns);
    client->busy = false;
}

static void tell_until(struct traffic *traffic, int64_t now_ns)
{
    for (int i = 0; i < 2; i++)
        while (traffic->left[i] > 0 && traffic->scripted[i]->time_us * NS_PER_US <= now_ns) {
            uint32_t index = append_scripted(traffic->history, traffic->scripted[i]++);
            traffic->left[i]--;
            if (i == 1)
                traffic->story[traffic->story_count++] = index;
        }
}

static struct client *soonest(struct traffic *traffic)
{
    struct client *soonest = &traffic->clients[0];
    for (int i = 1; i < CLIENTS; i++)
        if (traffic->clients[i].next_ns < soonest->next_ns)
            soonest = &traffic->clients[i];
    return soonest;
}

static void begin_traffic(struct traffic *traffic, struct history *history, double pause_ns)
{
    *traffic = (struct traffic){.history = history,
                                .arena = ARENA_INIT,
                                .prng = prng_stream(42, "sample"),
                                .process_next = 100,
                                .pause_ns = pause_ns};
    traffic->timeout = value_pair(&traffic->arena, value_keyword(&traffic->arena, "timeout"),
                                  value_string(&traffic->arena, "no reply within 1s"));
    traffic->mismatch = value_keyword(&traffic->arena, "cas-mismatch");
    for (int i = 0; i < CLIENTS; i++)
        traffic->clients[i] =
            (struct client){.process = i, .next_ns = (int64_t)(pause_ns * (i + 1) / CLIENTS)};
}

static void run_traffic(struct traffic *traffic, int64_t end_ns, uint32_t operations)
{
    uint32_t invoked = 0;
    for (;;) {
        struct client *client = soonest(traffic);
        if (client->next_ns > end_ns || (!client->busy && invoked >= operations))
            break;
        tell_until(traffic, client->next_ns);
        if (client->busy)
            complete(traffic, client);
        else
            invoke(traffic, client);
        invoked += client->busy;
    }
    tell_until(traffic, end_ns);
    arena_free(&traffic->arena);
}

/* ---- Documents ---- */

static struct json *parse(const char *text)
{
    struct err err = ERR_INIT;
    struct json *root = NULL;
    assert_ok(json_parse(text, strlen(text), "sample", &root, &err));
    return root;
}

#define TEST(duration)                                                                             \
    "\"test\":{\"name\":\"etcd-register\",\"system\":\"etcd\",\"system-version\":\"etcd 3.4.23\"," \
    "\"workload\":\"register\",\"nemeses\":[\"partition\",\"kill\",\"clock\"],"                    \
    "\"nodes\":[\"n1\",\"n2\",\"n3\",\"n4\",\"n5\"],\"seed\":42,\"concurrency\":10,"               \
    "\"started\":\"20261121T083015.123Z\",\"ended\":\"20261121T083116.001Z\","                     \
    "\"duration-s\":" duration ",\"ordeal-version\":\"0.1.0\","                                    \
    "\"command\":\"ordeal run --system etcd --nemesis partition,kill,clock\","                     \
    "\"run-again\":\"ordeal run store/etcd-register/20261121T083015.123Z/plan.json\"}"

#define FAULTS                                                                                     \
    "\"faults\":[{\"id\":1,\"nemesis\":\"partition\",\"asked\":\"{:shape :halves}\","              \
    "\"done\":\"[:isolated {\\\"n1\\\" #{\\\"n3\\\" \\\"n4\\\"}}]\","                              \
    "\"nodes\":[\"n1\",\"n2\",\"n3\",\"n4\",\"n5\"],\"begin\":{\"asked-ns\":10000000000,"          \
    "\"done-ns\":10004900000,\"verified\":true,\"evidence\":\"20 paths probed: 12 cut, 8 open\"}," \
    "\"end\":{\"asked-ns\":20000000000,\"done-ns\":20003900000,\"verified\":true,"                 \
    "\"evidence\":\"20 paths probed: 0 cut, 20 open\"}},"                                          \
    "{\"id\":2,\"nemesis\":\"kill\",\"asked\":\"{:nodes [\\\"n2\\\"]}\",\"done\":\"nil\","         \
    "\"nodes\":[\"n2\"],\"begin\":{\"asked-ns\":30000000000,\"done-ns\":30079000000,"              \
    "\"verified\":true,\"evidence\":\"etcd on n2 (pid 4711) is gone\"},"                           \
    "\"end\":{\"asked-ns\":36000000000,\"done-ns\":36499000000,\"verified\":true,"                 \
    "\"evidence\":\"etcd on n2 answers\"},"                                                        \
    "\"state\":{\"primaries\":[\"n2\"],\"in-flight\":7}},"                                         \
    "{\"id\":3,\"nemesis\":\"clock\",\"asked\":\"{:shift \\\"+30s\\\"}\",\"done\":\"nil\","        \
    "\"nodes\":[],\"begin\":{\"asked-ns\":45000000000,\"done-ns\":45899000000,"                    \
    "\"verified\":false,\"evidence\":\"\"},\"error\":\"clock: no clock to turn on n3\"}]"

#define AVAILABILITY                                                                               \
    "\"availability\":{\"valid\":true,\"reason\":\"no cas succeeded during fault 2 (kill, "        \
    "30.1-36.0 s); back to the usual rate 1.2 s after an end at worst\",\"anomalies\":[],"         \
    "\"seconds\":0.004,\"windows\":[{\"fault\":1,\"nemesis\":\"partition\","                       \
    "\"f\":\"start-partition\",\"from-ns\":10005000000,\"to-ns\":20000000000,"                     \
    "\"by-f\":{\"read\":{\"count\":902,\"ok-count\":720,\"ok-rate\":72.0,"                         \
    "\"usual-ok-rate\":210.5},\"write\":{\"count\":540,\"ok-count\":431,\"ok-rate\":43.1,"         \
    "\"usual-ok-rate\":126.0}},\"missing\":[],\"longest-gap-ns\":810000000,"                       \
    "\"first-ok-after-ns\":1200000,\"recovered-after-ns\":1200000000},"                            \
    "{\"fault\":2,\"nemesis\":\"kill\",\"f\":\"kill\",\"from-ns\":30080000000,"                    \
    "\"to-ns\":36000000000,\"by-f\":{\"read\":{\"count\":530,\"ok-count\":425,"                    \
    "\"ok-rate\":70.8,\"usual-ok-rate\":210.5},\"cas\":{\"count\":201,\"ok-count\":0,"             \
    "\"ok-rate\":0,\"usual-ok-rate\":28.1}},\"missing\":[\"cas\"],\"longest-gap-ns\":400000000,"   \
    "\"first-ok-after-ns\":2200000,\"recovered-after-ns\":null}]}"

#define SOUND                                                                                      \
    "\"stats\":{\"valid\":true,\"reason\":\"12 000 operations\",\"anomalies\":[],"                 \
    "\"seconds\":0.001}," AVAILABILITY

static const char valid_results[] =
    "{\"valid\":true,\"checkers\":{\"linearizable\":{\"valid\":true,"
    "\"reason\":\"8 keys, every one is linearizable\",\"anomalies\":[],\"seconds\":0.12}," SOUND
    "}," TEST("60.0") "," FAULTS ",\"problems\":[]}";

static const char invalid_text[] =
    "The read of 41 by process 23 (invoked at 20.400000 s, returned at 20.400900 s) cannot be "
    "placed: 41 was last written by the write of 41 by process 21, but the write of 42 by process "
    "22 completed at 19.310500 s, before this read began, and nothing wrote 41 after it.";

static const char unknown_results[] =
    "{\"valid\":\"unknown\",\"checkers\":{\"stats\":{\"valid\":true,\"reason\":\"40 operations\","
    "\"anomalies\":[]},\"linearizable\":{\"valid\":\"unknown\",\"reason\":\"the budget of 60 s was "
    "reached at key 2, operation 31 of 40, with 812 403 states\",\"anomalies\":[],"
    "\"seconds\":60.01}}," TEST(
        "2.0") ",\"faults\":[{\"id\":1,\"nemesis\":\"partition\","
               "\"asked\":\"{:shape :halves}\",\"done\":\"nil\",\"nodes\":[\"n1\"],\"begin\":{"
               "\"asked-ns\":500000000,\"done-ns\":600000000,\"verified\":true,\"evidence\":"
               "\"cut\"}}],"
               "\"problems\":[\"n4: the control connection was lost: connection reset by peer\","
               "\"the logs of n4 could not be fetched: no route to host\"]}";

static const char plan_text[] =
    "{\"system\":\"etcd\",\"workload\":\"register\",\"nemesis\":\"partition,kill,clock\","
    "\"time-limit\":\"60s\",\"seed\":\"42\",\"name\":\"etcd-register\","
    "\"set\":{\"linearizable.model\":\"cas-register\"}}";

static const char schedule_text[] =
    "[{\"fault\":1,\"phase\":\"begin\",\"nemesis\":\"partition\",\"f\":\"start-partition\","
    "\"asked-ns\":10000000000,\"done-ns\":10004900000,\"asked\":\"{:shape :halves}\","
    "\"value\":\"nil\",\"nodes\":[\"n1\",\"n2\"],\"verified\":true,\"evidence\":\"12 cut\"},"
    "{\"fault\":1,\"phase\":\"end\",\"nemesis\":\"partition\",\"f\":\"stop-partition\","
    "\"asked-ns\":20000000000,\"done-ns\":20003900000,\"value\":\"nil\",\"nodes\":[\"n1\"],"
    "\"verified\":true,\"evidence\":\"0 cut\"}]";

/* ---- The runs ---- */

static struct json *invalid_results(const struct traffic *traffic)
{
    struct json *results = parse(valid_results), *checker = json_object();
    json_set_bool(results, "valid", false);
    json_set_bool(checker, "valid", false);
    char reason[512];
    snprintf(reason, sizeof reason, "1 of 8 keys is not linearizable: %s", invalid_text);
    json_set_text(checker, "reason", reason);
    struct json *anomaly = json_add(json_set(checker, "anomalies", json_array()), json_object());
    json_set_text(anomaly, "kind", "nonlinearizable");
    json_set_text(anomaly, "title", "stale read of 41");
    json_set_text(anomaly, "text", invalid_text);
    json_set_int(anomaly, "key", 3);
    struct json *events = json_set(anomaly, "events", json_array());
    for (int i = 0; i < 7; i++)
        json_add(events, json_int(traffic->story[i]));
    struct json *op = json_set(anomaly, "op", json_object());
    struct json *own = json_set(op, "events", json_array());
    json_add(own, json_int(traffic->story[5]));
    json_add(own, json_int(traffic->story[6]));
    json_set_real(checker, "seconds", 0.12);
    json_set(json_get(results, "checkers"), "linearizable", checker);
    struct json *crashes = json_set(json_get(results, "checkers"), "crashes", json_object());
    json_set_bool(crashes, "valid", false);
    json_set_text(crashes, "reason", "etcd on n4 was killed by SIGSEGV at 52.000 s");
    anomaly = json_add(json_set(crashes, "anomalies", json_array()), json_object());
    json_set_text(anomaly, "kind", "crash");
    json_set_text(anomaly, "title", "etcd died on n4");
    json_set_text(anomaly, "text", "etcd on n4 was killed by SIGSEGV, and nobody had asked it to.");
    json_add(json_set(anomaly, "events", json_array()), json_int(traffic->story[7]));
    return results;
}

static void make_told(enum sample_kind kind, struct sample_run *sample)
{
    struct traffic traffic;
    begin_traffic(&traffic, &sample->history, 4.5e7);
    traffic.scripted[0] = quiet;
    traffic.left[0] = sizeof quiet / sizeof quiet[0];
    traffic.scripted[1] = stale;
    traffic.left[1] = kind == SAMPLE_INVALID ? sizeof stale / sizeof stale[0] : 0;
    run_traffic(&traffic, 60 * NS_PER_SECOND, UINT32_MAX);
    sample->results = kind == SAMPLE_INVALID ? invalid_results(&traffic) : parse(valid_results);
    sample->plan = parse(plan_text);
    sample->schedule = parse(schedule_text);
    sample->run.directory = "store/etcd-register/20261121T083015.123Z";
}

static void make_unknown(struct sample_run *sample)
{
    struct traffic traffic;
    begin_traffic(&traffic, &sample->history, 4.5e8);
    run_traffic(&traffic, 2 * NS_PER_SECOND, 40);
    sample->results = parse(unknown_results);
    sample->plan = parse(plan_text);
    sample->run.directory = "store/etcd-register/20261121T083015.123Z";
}

static void make_empty(struct sample_run *sample)
{
    sample->results = parse("{\"valid\":\"unknown\",\"checkers\":{\"stats\":{\"valid\":\"unknown\","
                            "\"reason\":\"the history has no client operations\","
                            "\"anomalies\":[]}}}");
}

static void make_bare(struct sample_run *sample)
{
    struct value one = value_int(NULL, 1);
    append(&sample->history, 0, OP_INVOKE, "write", one, value_nil(), -1);
    append(&sample->history, PROCESS_NEMESIS, OP_INFO, "start", value_nil(), value_nil(), -1);
    append(&sample->history, 0, OP_OK, "write", one, value_nil(), -1);
    append(&sample->history, PROCESS_NEMESIS, OP_INFO, "start", value_nil(), value_nil(), -1);
    append(&sample->history, 1, OP_INVOKE, "read", value_nil(), value_nil(), -1);
    append(&sample->history, 1, OP_OK, "read", value_nil(), value_nil(), -1);
    append(&sample->history, 2, OP_INVOKE, "read", value_nil(), value_nil(), -1);
    sample->results =
        parse("{\"valid\":false,\"checkers\":{\"linearizable\":{\"valid\":false,"
              "\"reason\":\"not linearizable\",\"anomalies\":[{\"kind\":\"nonlinearizable\","
              "\"title\":\"lost write of 1\",\"text\":\"Nobody read it.\","
              "\"events\":[0,2,4,5,6,99,-4]}]}}}");
}

#define ATTACK                                                                                     \
    "<script>alert('x')</script>\\\" onload=\\\"alert(1)\\u0001\\u001b]0;owned\\u0007\\u001b[2J"   \
    "&amp;]]>\\u202egnp.exe \\uffff"

static const char hostile_results[] =
    "{\"valid\":false,\"checkers\":{\"" ATTACK "\":{\"valid\":false,\"reason\":\"" ATTACK "\","
    "\"anomalies\":[{\"kind\":\"" ATTACK "\",\"title\":\"" ATTACK "\",\"text\":\"" ATTACK
    "\\n\\nsecond\",\"events\":[0,1,2,3],\"key\":\"" ATTACK "\",\"op\":{\"events\":[2,3]}}]},"
    "\"availability\":{\"valid\":\"" ATTACK "\",\"reason\":\"" ATTACK "\",\"windows\":[{\"fault\":"
    "\"x\",\"f\":\"" ATTACK "\",\"by-f\":{\"" ATTACK "\":{}},\"missing\":[\"" ATTACK "\"]}]}},"
    "\"test\":{\"name\":\"" ATTACK "\",\"system\":\"" ATTACK "\",\"system-version\":\"" ATTACK "\","
    "\"workload\":\"" ATTACK "\",\"nemeses\":[\"" ATTACK "\"],\"nodes\":[\"" ATTACK "\"],"
    "\"started\":\"" ATTACK "\",\"command\":\"" ATTACK "\",\"run-again\":\"" ATTACK "\"},"
    "\"faults\":[{\"id\":1,\"nemesis\":\"" ATTACK "\",\"asked\":\"" ATTACK "\",\"done\":\"" ATTACK
    "\",\"nodes\":[\"" ATTACK "\"],\"begin\":{\"asked-ns\":1000,\"done-ns\":2000,\"verified\":true,"
    "\"evidence\":\"" ATTACK "\"},\"error\":\"" ATTACK "\"}],\"problems\":[\"" ATTACK "\"]}";

static void make_hostile(struct sample_run *sample)
{
    static const char bytes[] =
        "<script>\0\xff\xfe \xed\xa0\x80 \x1b[31m\xe2\x80\xae'\"&]]>\xc2\x9b"
        "31m\xf0\x9f\x92\xa3";
    struct arena arena = ARENA_INIT;
    struct value text = value_text(&arena, VALUE_STRING, bytes, sizeof bytes - 1);
    struct value word = value_text(&arena, VALUE_SYMBOL, bytes, sizeof bytes - 1);
    struct value error = value_items(&arena, VALUE_LIST, (struct value[]){word, text, text}, 3);
    const char *f = "read\x1b[31m<script>\xff\"'";
    append(&sample->history, 0, OP_INVOKE, f, text, value_nil(), 1000);
    append(&sample->history, 0, OP_FAIL, f, word, error, 2000);
    append(&sample->history, 1, OP_INVOKE, "write", error, value_nil(), 3000);
    append(&sample->history, 1, OP_OK, "write", text, value_nil(), INT64_MAX);
    append(&sample->history, PROCESS_DAEMON, OP_INFO, f, error, error, INT64_MAX);
    arena_free(&arena);
    sample->results = parse(hostile_results);
    sample->plan = parse("{\"" ATTACK "\":[\"" ATTACK "\",1e999,null]}");
    sample->schedule = parse("[1,null,{\"" ATTACK "\":2}]");
    sample->run.directory = "store/<script>\x1b[31m\"'&";
}

static void finish(struct sample_run *sample)
{
    struct err err = ERR_INIT;
    assert_ok(history_pair(&sample->history, &err));
    sample->run.plan = sample->plan;
    sample->run.results = sample->results;
    sample->run.schedule = sample->schedule;
    sample->run.history = &sample->history;
}

void sample_run_make(enum sample_kind kind, struct sample_run *sample)
{
    *sample = (struct sample_run){.plan = NULL};
    history_init(&sample->history);
    switch (kind) {
    case SAMPLE_VALID:
    case SAMPLE_INVALID:
        make_told(kind, sample);
        break;
    case SAMPLE_UNKNOWN:
        make_unknown(sample);
        break;
    case SAMPLE_EMPTY:
        make_empty(sample);
        break;
    case SAMPLE_BARE:
        make_bare(sample);
        break;
    case SAMPLE_HOSTILE:
        make_hostile(sample);
        break;
    }
    finish(sample);
}

void sample_run_make_large(uint32_t operations, struct sample_run *sample)
{
    struct traffic traffic;
    *sample = (struct sample_run){.plan = NULL};
    history_init(&sample->history);
    begin_traffic(&traffic, &sample->history, 5e6);
    traffic.scripted[0] = quiet;
    traffic.left[0] = sizeof quiet / sizeof quiet[0];
    run_traffic(&traffic, INT64_MAX / 4, operations);
    sample->results = parse(valid_results);
    finish(sample);
}

void sample_run_free(struct sample_run *sample)
{
    json_free(sample->plan);
    json_free(sample->results);
    json_free(sample->schedule);
    history_free(&sample->history);
}

char *sample_render(const struct run *run, const char *reporter, size_t *length)
{
    struct err err = ERR_INIT;
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    assert_non_null(out);
    const struct reporter *with = reporter_find(reporter);
    assert_non_null(with);
    assert_ok(with->write(run, out, &err));
    assert_int_equal(fclose(out), 0);
    if (length != NULL)
        *length = size;
    return text;
}
