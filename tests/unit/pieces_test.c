/* Histories larger than memory: judged in pieces under a limit under which the whole cannot be
 * loaded, with the verdict and the event numbers that the whole has. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "harness/base/prng.h"
#include "harness/histories/history_file.h"
#include "harness/pieces.h"
#include "tests/lib/sanitized.h"
#include "tests/lib/test.h"

static void append(struct history_writer *writer, struct history *names, int32_t process,
                   enum op_type type, const char *f, struct value value)
{
    struct op op = {
        .type = type, .process = process, .f = history_f(names, f), .value = value, .time_ns = 1};
    history_writer_append(writer, &op);
}

/* Keyed registers, one operation after another but for one client that stays open; one stale read
 * of key `bad` near the end, if >= 0. The number of that read's completion. */
static uint32_t write_history(const char *path, uint32_t operations, int64_t keys, int64_t bad)
{
    struct history names;
    struct history_writer *writer;
    struct err err = ERR_INIT;
    struct prng prng = prng_stream(3, "pieces");
    int64_t *current = calloc((size_t)keys, sizeof *current);
    uint32_t number = 0, stale = 0;
    unlink(path);
    history_init(&names);
    assert_ok(history_writer_open(path, &names, NULL, &writer, &err));
    for (uint32_t i = 0; i < operations; i++) {
        int64_t key = (int64_t)prng_below(&prng, (uint64_t)keys);
        int32_t process = (int32_t)(i % 10);
        bool write = prng_below(&prng, 2) == 0 || current[key] == 0;
        bool plant = i + 100 > operations && bad >= 0 && stale == 0;
        key = plant ? bad : key;
        struct value asked = value_pair(NULL, value_int(NULL, key), value_int(NULL, i + 1));
        struct arena arena = ARENA_INIT;
        if (plant || !write)
            asked = value_pair(&arena, value_int(NULL, key), value_nil());
        append(writer, &names, process, OP_INVOKE, plant || !write ? "read" : "write", asked);
        struct value answer = asked;
        if (plant || !write)
            answer = value_pair(NULL, value_int(NULL, key),
                                value_int(NULL, plant ? 1 << 28 : current[key]));
        else
            current[key] = i + 1;
        append(writer, &names, process, OP_OK, plant || !write ? "read" : "write", answer);
        number += 2;
        if (plant)
            stale = number - 1;
        arena_free(&arena);
    }
    assert_ok(history_writer_close(writer, &err));
    history_free(&names);
    free(current);
    return stale;
}

static struct pieces_options options_for(const char *path, struct json *set)
{
    json_set_text(set, "linearizable.model", "register");
    return (struct pieces_options){
        .path = path,
        .limits = {.time_ns = 60 * NS_PER_SECOND, .memory_bytes = 32 << 20, .threads = 1},
        .options = set,
        .keyed = KEYED_GUESS,
        .piece_bytes = 24 << 20,
    };
}

static void pieces_give_the_verdict_of_the_whole(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    for (int bad = -1; bad < 40; bad += 20) {
        uint32_t stale = write_history("p.ordeal", 20000, 40, bad);
        struct json *set = json_object(), *results;
        struct buf notes = BUF_INIT;
        enum verdict verdict;
        struct pieces_options options = options_for("p.ordeal", set);
        options.piece_bytes = 1 << 20;
        assert_ok(pieces_check(&options, &results, &verdict, &notes, &err));
        const struct json *of = json_get(json_get(results, "checkers"), "linearizable");
        assert_int_equal(verdict, bad < 0 ? VERDICT_VALID : VERDICT_INVALID);
        assert_true(json_as_int(json_get(of, "pieces"), 0) > 3);
        assert_int_equal(json_as_int(json_get(of, "key-count"), 0), 40);
        assert_int_equal(json_as_int(json_get(of, "operation-count"), 0), 20000);
        assert_int_equal(json_as_int(json_get(of, "keys-invalid"), -1), bad >= 0);
        assert_true(json_as_bool(json_get(of, "certified"), false));
        bool named = bad < 0;
        const struct json *events = json_get(json_at(json_get(of, "anomalies"), 0), "events");
        for (const struct json *event = json_first(events); event != NULL; event = json_next(event))
            named |= json_as_int(event, -1) == (int64_t)stale;
        assert_true(named); /* by its number in the file */
        assert_int_equal(notes.length, 0);
        buf_free(&notes);
        json_free(results);
        json_free(set);
    }
}

/* In a process of its own, under a limit of its memory: 0 valid, 1 invalid, 2 unknown, 3 no memory.
 */
static int judged_under(size_t limit_bytes, const char *path, bool in_pieces)
{
    fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit limit = {limit_bytes, limit_bytes}, none = {0, 0};
        struct err err = ERR_INIT;
        setrlimit(RLIMIT_CORE, &none);
        if (freopen("/dev/null", "w", stderr) == NULL || setrlimit(RLIMIT_AS, &limit) != 0)
            _exit(99);
        if (!in_pieces) {
            struct history history;
            history_init(&history);
            _exit(history_file_read(path, &history, &err) == ERR_NONE ? 0 : 3);
        }
        struct json *results;
        struct buf notes = BUF_INIT;
        enum verdict verdict;
        struct pieces_options options = options_for(path, json_object());
        if (pieces_check(&options, &results, &verdict, &notes, &err) != ERR_NONE)
            _exit(3);
        _exit(verdict == VERDICT_VALID ? 0 : verdict == VERDICT_INVALID ? 1 : 2);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3; /* arenas abort when memory ends */
}

static void a_history_larger_than_the_limit_is_judged(void **state)
{
    (void)state;
    if (SANITIZED)
        test_skip("a limit on addresses leaves a sanitizer none");
    enum { LIMIT = 64 << 20 };
    write_history("large.ordeal", 700000, 500, 77);
    assert_int_equal(judged_under(LIMIT, "large.ordeal", false), 3);
    assert_int_equal(judged_under(LIMIT, "large.ordeal", true), 1);
}

static void what_is_not_keyed_is_refused(void **state)
{
    (void)state;
    struct history names;
    struct history_writer *writer;
    struct err err = ERR_INIT;
    struct json *set = json_object(), *results;
    enum verdict verdict;
    struct buf notes = BUF_INIT;
    history_init(&names);
    assert_ok(history_writer_open("plain.ordeal", &names, NULL, &writer, &err));
    append(writer, &names, 0, OP_INVOKE, "write", value_int(NULL, 7));
    assert_ok(history_writer_close(writer, &err));
    struct pieces_options options = options_for("plain.ordeal", set);
    assert_int_equal(pieces_check(&options, &results, &verdict, &notes, &err), ERR_UNSUPPORTED);
    assert_contains(err.message, "event 0 has the value 7, which is not [key value]");
    options.keyed = KEYED_NO;
    assert_int_equal(pieces_check(&options, &results, &verdict, &notes, &err), ERR_UNSUPPORTED);
    options.path = "absent.ordeal";
    options.keyed = KEYED_YES;
    assert_int_equal(pieces_check(&options, &results, &verdict, &notes, &err), ERR_IO);
    history_free(&names);
    json_free(set);
    buf_free(&notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_give_the_verdict_of_the_whole),
        cmocka_unit_test(a_history_larger_than_the_limit_is_judged),
        cmocka_unit_test(what_is_not_keyed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
