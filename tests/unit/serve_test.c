/* ordeal serve: the list of runs, what of a store can be had over HTTP and what cannot, live runs,
 * and hostile stores. A server of ours on loopback, asked by libcurl. */
#include <curl/curl.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/text.h"
#include "harness/histories/history_file.h"
#include "harness/serve.h"
#include "harness/store.h"
#include "reports/serve/live.h"
#include "reports/serve/runs.h"
#include "tests/lib/markup_check.h"
#include "tests/lib/sample_run.h"
#include "tests/lib/test.h"

static const char valid_run[] = "etcd-register/20261121T083015.123Z";
static const char hostile_run[] = "hostile%20%3Cb%3E%22'&/20261121T083016.000Z";
static const char hostile_directory[] = "hostile <b>\"'&/20261121T083016.000Z";
static const char damaged_run[] = "etcd-register/20261121T083017.000Z";
static const char going_run[] = "etcd-register/20261121T083018.000Z";
static const char cut_run[] = "etcd-register/20261121T083019.000Z";

struct world {
    char store[64];
    struct serve *serve;
    uint16_t port;
};

static void put(const struct world *world, const char *run, const char *name, const char *text)
{
    struct err err = ERR_INIT;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", world->store, run);
    assert_ok(file_make_dirs(path, &err));
    snprintf(path, sizeof path, "%s/%s/%s", world->store, run, name);
    assert_ok(file_write(path, text, strlen(text), &err));
}

static void put_sample(const struct world *world, const char *run, enum sample_kind kind)
{
    struct err err = ERR_INIT;
    struct sample_run sample;
    struct buf text = BUF_INIT;
    char path[512];
    sample_run_make(kind, &sample);
    json_print(sample.results, JSON_PRETTY, &text);
    put(world, run, "results.json", buf_text(&text));
    buf_clear(&text);
    json_print(sample.plan, JSON_PRETTY, &text);
    put(world, run, "plan.json", buf_text(&text));
    snprintf(path, sizeof path, "%s/%s/report.html", world->store, run);
    assert_ok(store_render_to(&sample.run, reporter_find("html"), path, &err));
    buf_free(&text);
    sample_run_free(&sample);
}

/* The writer of a history that goes on: events so far, and the file stays open. */
struct going {
    struct history names;
    struct history_writer *writer;
    int64_t time_ns;
};

static void going_open(const struct world *world, struct going *going)
{
    struct err err = ERR_INIT;
    char path[512];
    put(world, going_run, "plan.json", "{\"system\": \"etcd\", \"nemesis\": \"kill\"}");
    put(world, going_run, "ordeal.log", "first line\nfault 1: kill of n1\n");
    snprintf(path, sizeof path, "%s/%s/history.ordeal", world->store, going_run);
    *going = (struct going){.time_ns = 0};
    history_init(&going->names);
    assert_ok(history_writer_open(path, &going->names, NULL, &going->writer, &err));
}

static void going_event(struct going *going, int32_t process, enum op_type type, const char *f)
{
    struct op op = {.process = process,
                    .type = type,
                    .f = history_f(&going->names, f),
                    .value = value_nil(),
                    .error = value_nil(),
                    .extra = value_nil(),
                    .time_ns = going->time_ns += NS_PER_MS};
    history_writer_append(going->writer, &op);
}

static void going_flush(struct going *going)
{
    struct err err = ERR_INIT;
    assert_ok(history_writer_flush(going->writer, &err));
}

static void going_close(struct going *going)
{
    struct err err = ERR_INIT;
    assert_ok(history_writer_close(going->writer, &err));
    history_free(&going->names);
}

static void make_old(const struct world *world, const char *run, const char *name)
{
    char path[512];
    struct timespec times[2] = {{.tv_sec = 1700000000}, {.tv_sec = 1700000000}};
    snprintf(path, sizeof path, "%s/%s/%s", world->store, run, name);
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void world_open(struct world *world, const char *token)
{
    struct err err = ERR_INIT;
    strcpy(world->store, "serve-test-XXXXXX");
    assert_non_null(mkdtemp(world->store));
    put_sample(world, valid_run, SAMPLE_VALID);
    put_sample(world, hostile_directory, SAMPLE_HOSTILE);
    put(world, damaged_run, "results.json", "{\"valid\": true, \"checkers\": {\"sta");
    put(world, cut_run, "plan.json", "{\"system\": \"etcd\"}");
    make_old(world, cut_run, "plan.json");
    put(world, "etcd-register/20261121T083015.123Z/nodes/n1", "etcd.log", "started\n");
    put(world, valid_run, "notes.html", "<script>alert(1)</script>");
    struct serve_options options = {.store = world->store, .address = "127.0.0.1", .token = token};
    assert_ok(serve_open(&options, &world->serve, &world->port, &err));
}

static void world_close(struct world *world)
{
    char command[128];
    serve_close(world->serve);
    snprintf(command, sizeof command, "rm -rf '%s'", world->store);
    assert_int_equal(system(command), 0);
}

/* ---- Asking ---- */

struct reply {
    long status;
    struct buf headers, body;
};

static size_t add(char *data, size_t size, size_t count, void *state)
{
    buf_add(state, data, size * count);
    return size * count;
}

/* `header` and `method` may be NULL. */
static void ask_with(const struct world *world, const char *path, const char *header,
                     const char *method, struct reply *reply)
{
    char url[1024];
    *reply = (struct reply){.headers = BUF_INIT, .body = BUF_INIT};
    snprintf(url, sizeof url, "http://127.0.0.1:%u%s", world->port, path);
    CURL *curl = curl_easy_init();
    struct curl_slist *headers = header == NULL ? NULL : curl_slist_append(NULL, header);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, add);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &reply->headers);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, add);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &reply->body);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    if (method != NULL)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    CURLcode code = curl_easy_perform(curl);
    assert_int_equal(code, CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
}

static void ask(const struct world *world, const char *path, struct reply *reply)
{
    ask_with(world, path, NULL, NULL, reply);
}

static void reply_free(struct reply *reply)
{
    buf_free(&reply->headers);
    buf_free(&reply->body);
}

static void expect_status(const struct world *world, const char *path, const char *header,
                          long status)
{
    struct reply reply;
    ask_with(world, path, header, NULL, &reply);
    if (reply.status != status)
        fail_msg("%s: %ld instead of %ld", path, reply.status, status);
    reply_free(&reply);
}

/* A page of ours: well-formed, with the policy, and with each of the texts. */
static void expect_page(const struct world *world, const char *path, const char *const *texts)
{
    struct reply reply;
    ask(world, path, &reply);
    assert_int_equal(reply.status, 200);
    markup_assert(reply.body.data, reply.body.length, MARKUP_HTML);
    assert_contains(buf_text(&reply.headers), "Content-Security-Policy: default-src 'none'");
    assert_contains(buf_text(&reply.headers), "X-Content-Type-Options: nosniff");
    for (; *texts != NULL; texts++)
        assert_contains(buf_text(&reply.body), *texts);
    /* The hostile sample has scripts and handlers in every field. */
    assert_null(strstr(buf_text(&reply.body), "<script>"));
    assert_null(strcasestr(buf_text(&reply.body), "<img"));
    reply_free(&reply);
}

/* ---- Tests ---- */

static void runs_are_listed_with_what_is_wrong_with_them(void **state)
{
    (void)state;
    struct world world;
    struct going going;
    world_open(&world, NULL);
    going_open(&world, &going);
    expect_page(&world, "/",
                (const char *[]){"5 of 5 runs", ">valid<", ">damaged<", ">cut off<", ">going on<",
                                 "results.json:1:", "20261121T083015.123Z", NULL});
    going_close(&going);
    world_close(&world);
}

static void a_list_is_narrowed_and_sorted(void **state)
{
    (void)state;
    struct world world;
    world_open(&world, NULL);
    expect_page(&world, "/?verdict=damaged", (const char *[]){"1 of 4 runs", "083017", NULL});
    expect_page(&world, "/?since=20261121T083016&until=20261121T083017",
                (const char *[]){"2 of 4 runs", NULL});
    expect_page(&world, "/?q=REGISTER&verdict=valid", (const char *[]){"1 of 4 runs", NULL});
    expect_page(&world, "/?q=%3Cscript%3Ealert(1)%3C/script%3E",
                (const char *[]){"0 of 4 runs", "&lt;script&gt;", NULL});
    struct reply newest, by_test;
    ask(&world, "/?sort=time", &newest);
    ask(&world, "/?sort=test", &by_test);
    const char *first = strstr(strstr(buf_text(&newest.body), "<tbody>\n<tr><td><input"), "name=");
    assert_contains(first, "083019");
    assert_true(strstr(first, "083019") < strstr(first, "083015"));
    first = strstr(strstr(buf_text(&by_test.body), "<tbody>\n<tr><td><input"), "name=");
    assert_true(strstr(first, "083015") < strstr(first, "083016")); /* etcd before hostile */
    reply_free(&newest);
    reply_free(&by_test);
    world_close(&world);
}

static void a_run_shows_its_files(void **state)
{
    (void)state;
    struct world world;
    char path[256];
    struct reply reply;
    world_open(&world, NULL);
    snprintf(path, sizeof path, "/run/%s", valid_run);
    expect_page(&world, path, (const char *[]){"report.html", "nodes/n1/etcd.log", "Seed", NULL});
    snprintf(path, sizeof path, "/run/%s", hostile_run);
    expect_page(&world, path, (const char *[]){"report.html", NULL});
    snprintf(path, sizeof path, "/file/%s/report.html", valid_run);
    ask(&world, path, &reply);
    assert_int_equal(reply.status, 200);
    assert_contains(buf_text(&reply.headers), "text/html");
    assert_contains(buf_text(&reply.headers), "sandbox");
    reply_free(&reply);
    /* Only the report is ever a page: whatever else a node left is text. */
    snprintf(path, sizeof path, "/file/%s/notes.html", valid_run);
    ask(&world, path, &reply);
    assert_int_equal(reply.status, 200);
    assert_contains(buf_text(&reply.headers), "text/plain");
    assert_string_equal(buf_text(&reply.body), "<script>alert(1)</script>");
    reply_free(&reply);
    world_close(&world);
}

static void nothing_outside_a_run_can_be_had(void **state)
{
    (void)state;
    struct world world;
    char path[512], target[512];
    world_open(&world, NULL);
    put(&world, "secret", "file", "secret");
    snprintf(path, sizeof path, "%s/%s/link", world.store, valid_run);
    assert_int_equal(symlink("/etc/passwd", path), 0);
    snprintf(path, sizeof path, "%s/%s/up", world.store, valid_run);
    assert_int_equal(symlink("../..", path), 0);
    snprintf(path, sizeof path, "%s/%s/pipe", world.store, valid_run);
    assert_int_equal(mkfifo(path, 0600), 0);
    static const char *const parts[] = {"link",
                                        "up/secret/file",
                                        "../../secret/file",
                                        "..%2f..%2fsecret%2ffile",
                                        "pipe",
                                        "nodes",
                                        "/etc/passwd",
                                        "%2fetc%2fpasswd",
                                        "nodes/../../..",
                                        "plan.json%00.html",
                                        "",
                                        "."};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        snprintf(target, sizeof target, "/file/%s/%s", valid_run, parts[i]);
        expect_status(&world, target, NULL, 404);
    }
    expect_status(&world, "/file/secret/file", NULL, 404);
    expect_status(&world, "/file/../x", NULL, 404);
    expect_status(&world, "/nowhere", NULL, 404);
    snprintf(target, sizeof target, "/file/%s/plan.json", valid_run);
    expect_status(&world, target, NULL, 200);
    world_close(&world);
}

static void other_names_and_methods_are_refused(void **state)
{
    (void)state;
    struct world world;
    struct reply reply;
    world_open(&world, NULL);
    expect_status(&world, "/", "Host: evil.example", 403);
    expect_status(&world, "/", "Host: 127.0.0.1.evil.example", 403);
    expect_status(&world, "/", "Host: localhost:8080", 200);
    expect_status(&world, "/", "Host: [::1]:8080", 200);
    ask_with(&world, "/", NULL, "DELETE", &reply);
    assert_int_equal(reply.status, 405);
    reply_free(&reply);
    world_close(&world);
}

static void a_token_opens(void **state)
{
    (void)state;
    struct world world;
    struct reply reply;
    world_open(&world, "0123456789abcdef");
    expect_status(&world, "/", NULL, 401);
    expect_status(&world, "/?token=0123456789abcdee", NULL, 401);
    expect_status(&world, "/?token=", NULL, 401);
    expect_status(&world, "/", "Authorization: Bearer 0123456789abcdef", 200);
    expect_status(&world, "/", "Cookie: ordeal-token=0123456789abcdef", 200);
    expect_status(&world, "/style.css", NULL, 401);
    ask(&world, "/?token=0123456789abcdef", &reply);
    assert_int_equal(reply.status, 200);
    assert_contains(buf_text(&reply.headers), "Set-Cookie: ordeal-token=0123456789abcdef; Path=/; "
                                              "HttpOnly; SameSite=Strict");
    reply_free(&reply);
    world_close(&world);
}

static void two_runs_are_compared(void **state)
{
    (void)state;
    struct world world;
    char path[512];
    world_open(&world, NULL);
    snprintf(path, sizeof path, "/compare?run=%s&run=%s", valid_run, damaged_run);
    expect_page(&world, path,
                (const char *[]){"class=\"differs\"", "damaged", "linearizable", NULL});
    snprintf(path, sizeof path, "/compare?run=%s", valid_run);
    expect_status(&world, path, NULL, 400);
    snprintf(path, sizeof path, "/compare?run=%s&run=no/where", valid_run);
    expect_status(&world, path, NULL, 404);
    world_close(&world);
}

static void a_run_comes_as_one_archive(void **state)
{
    (void)state;
    struct world world;
    struct reply reply;
    char path[256], command[512];
    struct err err = ERR_INIT;
    world_open(&world, NULL);
    snprintf(path, sizeof path, "/archive/%s", valid_run);
    ask(&world, path, &reply);
    assert_int_equal(reply.status, 200);
    assert_ok(file_write("archive.tar.gz", reply.body.data, reply.body.length, &err));
    snprintf(command, sizeof command,
             "mkdir unpacked && tar -xzf archive.tar.gz -C unpacked && "
             "diff -r unpacked/20261121T083015.123Z '%s/%s' && rm -r unpacked archive.tar.gz",
             world.store, valid_run);
    assert_int_equal(system(command), 0);
    reply_free(&reply);
    world_close(&world);
}

static const struct json *step(struct live *live, struct json **owned, bool *ended)
{
    struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    json_free(*owned);
    live_step(live, &out, ended);
    assert_ok(json_parse(buf_text(&out), out.length, "live", owned, &err));
    buf_free(&out);
    return *owned;
}

static void a_run_is_followed(void **state)
{
    (void)state;
    struct world world;
    struct going going;
    struct json *owned = NULL;
    bool ended = true;
    world_open(&world, NULL);
    going_open(&world, &going);
    struct live *live = live_open(world.store, going_run);
    assert_non_null(live);
    going_event(&going, 0, OP_INVOKE, "read");
    going_event(&going, 1, OP_INVOKE, "write");
    going_event(&going, 0, OP_OK, "read");
    going_event(&going, PROCESS_NEMESIS, OP_INFO, "start-kill");
    going_flush(&going);
    const struct json *now = step(live, &owned, &ended);
    assert_false(ended);
    assert_int_equal(json_as_int(json_get(now, "ok"), -1), 1);
    assert_int_equal(json_as_int(json_get(now, "open"), -1), 1);
    assert_int_equal(json_count(json_get(now, "faults")), 0); /* asked for, not done yet */
    assert_true(json_as_real(json_get(now, "p50-ms"), -1) == 2.0);
    assert_string_equal(json_as_text(json_get(now, "log"), ""), "fault 1: kill of n1");
    going_event(&going, PROCESS_NEMESIS, OP_INFO, "start-kill");
    going_event(&going, 1, OP_INFO, "write");
    going_flush(&going);
    now = step(live, &owned, &ended);
    assert_int_equal(json_as_int(json_get(now, "info"), -1), 1);
    assert_int_equal(json_as_int(json_get(now, "open"), -1), 0);
    assert_string_equal(json_as_text(json_first(json_get(now, "faults")), ""), "kill");
    assert_int_equal(json_kind(json_get(now, "p50-ms")), JSON_NULL);
    going_event(&going, PROCESS_NEMESIS, OP_INFO, "stop-kill");
    going_event(&going, PROCESS_NEMESIS, OP_INFO, "stop-kill");
    going_close(&going);
    put(&world, going_run, "results.json",
        "{\"valid\": false, \"checkers\": {\"stats\": {\"valid\": false, \"reason\": \"why\"}}}");
    now = step(live, &owned, &ended);
    assert_true(ended);
    assert_int_equal(json_count(json_get(now, "faults")), 0);
    assert_int_equal(json_as_int(json_get(now, "faults-so-far"), -1), 1);
    assert_string_equal(json_as_text(json_get(now, "verdict"), ""), "invalid");
    assert_string_equal(json_as_text(json_get(now, "reason"), ""), "why");
    json_free(owned);
    live_close(live);
    world_close(&world);
}

static void a_live_page_hears_of_events(void **state)
{
    (void)state;
    struct world world;
    struct going going;
    char path[256];
    struct reply reply;
    world_open(&world, NULL);
    going_open(&world, &going);
    going_event(&going, 0, OP_INVOKE, "read");
    going_event(&going, 0, OP_OK, "read");
    going_close(&going);
    snprintf(path, sizeof path, "/live/%s", going_run);
    ask(&world, path, &reply);
    assert_contains(buf_text(&reply.body), "data-events=\"/events/etcd-register/");
    reply_free(&reply);
    put(&world, going_run, "results.json", "{\"valid\": true}"); /* so that the stream ends */
    snprintf(path, sizeof path, "/events/%s", going_run);
    ask(&world, path, &reply);
    assert_int_equal(reply.status, 200);
    assert_contains(buf_text(&reply.headers), "text/event-stream");
    assert_memory_equal(buf_text(&reply.body), "data: {", 7);
    assert_contains(buf_text(&reply.body), "\"ok\":1");
    reply_free(&reply);
    snprintf(path, sizeof path, "/events/%s", cut_run); /* it has no history */
    expect_status(&world, path, NULL, 404);
    world_close(&world);
}

/* A thousand runs are read once; then a list is quick, and sees what changed. */
static void many_runs_are_listed_quickly(void **state)
{
    (void)state;
    struct world world;
    struct err err = ERR_INIT;
    char run[64], command[160];
    world_open(&world, NULL);
    for (int i = 0; i < 1000; i++) {
        snprintf(run, sizeof run, "many/20260101T%06d.000Z", i);
        put(&world, run, "results.json",
            "{\"valid\": true, \"checkers\": {}, \"test\": {\"system\": \"etcd\"}, \"faults\": "
            "[]}");
    }
    struct runs *runs = runs_open(world.store);
    struct arena arena = ARENA_INIT;
    struct run_list list;
    assert_ok(runs_list(runs, &arena, &list, &err));
    assert_int_equal(list.count, 1004);
    assert_int_equal(list.items[1003]->verdict, VERDICT_VALID);
    put(&world, run, "results.json", "{\"valid\": false}");
    snprintf(command, sizeof command, "rm -r '%s/many/20260101T000000.000Z'", world.store);
    assert_int_equal(system(command), 0);
    int64_t began_ns = clock_monotonic_ns();
    assert_ok(runs_list(runs, &arena, &list, &err));
    print_message("# 1003 runs listed again in %lld us\n",
                  (long long)((clock_monotonic_ns() - began_ns) / NS_PER_US));
    assert_int_equal(list.count, 1003);
    for (size_t i = 0; i < list.count; i++)
        if (strcmp(list.items[i]->time, "20260101T000999.000Z") == 0)
            assert_int_equal(list.items[i]->verdict, VERDICT_INVALID);
    arena_free(&arena);
    runs_close(runs);
    world_close(&world);
}

static void bad_stores_and_addresses_are_told(void **state)
{
    (void)state;
    struct serve *serve = NULL;
    struct err err = ERR_INIT;
    uint16_t port;
    struct serve_options options = {.store = "no/store", .address = "127.0.0.1"};
    assert_int_equal(serve_open(&options, &serve, &port, &err), ERR_CONFIG);
    assert_contains(err.message, "there is no store no/store");
    options = (struct serve_options){.store = ".", .address = "localhost"};
    assert_int_equal(serve_open(&options, &serve, &port, &err), ERR_CONFIG);
    assert_contains(err.message, "'localhost' is no IPv4 or IPv6 address");
    options.address = "127.0.0.1";
    assert_ok(serve_open(&options, &serve, &port, &err));
    struct serve *second = NULL;
    options.port = port;
    assert_int_equal(serve_open(&options, &second, &port, &err), ERR_IO);
    assert_contains(err.message, "cannot listen on 127.0.0.1 port");
    serve_close(serve);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_are_listed_with_what_is_wrong_with_them),
        cmocka_unit_test(a_list_is_narrowed_and_sorted),
        cmocka_unit_test(a_run_shows_its_files),
        cmocka_unit_test(nothing_outside_a_run_can_be_had),
        cmocka_unit_test(other_names_and_methods_are_refused),
        cmocka_unit_test(a_token_opens),
        cmocka_unit_test(two_runs_are_compared),
        cmocka_unit_test(a_run_comes_as_one_archive),
        cmocka_unit_test(a_run_is_followed),
        cmocka_unit_test(a_live_page_hears_of_events),
        cmocka_unit_test(many_runs_are_listed_quickly),
        cmocka_unit_test(bad_stores_and_addresses_are_told),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests_name("serve", tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
