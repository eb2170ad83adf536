/* Clients that are programs of somebody's own: ones that are right, slow, crash, babble, and answer
 * what was never asked. What comes of an operation must be what can be known. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "harness/base/clock.h"
#include "harness/control.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/own_fixture.h"
#include "tests/lib/test.h"
#include "workloads/systems/own.h"

/* A worker that has this client. */
struct worker {
    struct fake_control *fake;
    struct plan plan;
    struct history history;
    struct arena scratch;
    uint64_t memory[32];
    struct err err;
};

static const struct client *client_of(const struct worker *worker)
{
    assert_true(system_client(worker->plan.system, "register")->state_size <=
                sizeof worker->memory);
    return system_client(worker->plan.system, "register");
}

static enum err_code open_again(struct worker *worker)
{
    memset(worker->memory, 0, sizeof worker->memory);
    return client_of(worker)->open(worker->memory, &worker->fake->test, 1, &worker->err);
}

static void prepare(struct worker *worker, const char *name)
{
    worker->fake = fake_new(3);
    worker->scratch = ARENA_INIT;
    worker->err = ERR_INIT;
    struct err err = ERR_INIT;
    assert_ok(own_fixture_plan(&worker->plan, name, NULL, &err));
    worker->fake->test.plan = &worker->plan;
    history_init(&worker->history);
    worker->fake->test.history = &worker->history;
    history_f(&worker->history, "read");
    history_f(&worker->history, "write");
    history_f(&worker->history, "cas");
}

static void give_up(struct worker *worker)
{
    history_free(&worker->history);
    plan_free(&worker->plan);
    arena_free(&worker->scratch);
    fake_free(worker->fake);
}

static void begin(struct worker *worker, const char *name, const char *members, const char *arms)
{
    own_fixture_write(name, members, arms);
    prepare(worker, name);
    if (open_again(worker) != ERR_NONE)
        fail_msg("%s", worker->err.message);
}

static void end(struct worker *worker)
{
    const struct own_system *own = (const struct own_system *)worker->plan.system;
    client_of(worker)->close(worker->memory);
    own_pool_stop((struct own_pool *)&own->pool, 0);
    give_up(worker);
}

/* As the scheduler does: after what is not known a client is closed and opened anew. */
static struct op ask(struct worker *worker, const char *f, struct value key, struct value value)
{
    struct op op = {.type = OP_INVOKE,
                    .f = history_f(&worker->history, f),
                    .value = value_pair(&worker->scratch, key, value)};
    client_of(worker)->invoke(worker->memory, &worker->fake->test, &op, &worker->scratch);
    if (op.type == OP_INFO) {
        client_of(worker)->close(worker->memory);
        if (open_again(worker) != ERR_NONE)
            fail_msg("%s", worker->err.message);
    }
    return op;
}

static struct op read_key(struct worker *worker, int64_t key)
{
    return ask(worker, "read", value_small(key), value_nil());
}

static void expect(const struct op *op, enum op_type type, const char *part)
{
    struct buf text = BUF_INIT;
    value_print(type == OP_OK ? op->value : op->error, &text);
    if (op->type != type || strstr(buf_text(&text), part) == NULL)
        fail_msg("type %d, %s; expected type %d with '%s'", (int)op->type, buf_text(&text),
                 (int)type, part);
    buf_free(&text);
}

static void what_it_says_is_what_happened(void **state)
{
    (void)state;
    struct worker worker;
    begin(&worker, "right", "",
          "invoke) case $line in\n"
          "*'\"value\":[1,'*) say '\"type\": \"ok\", \"value\": [1, 5]';;\n"
          "*'\"value\":[2,'*) say '\"type\": \"ok\", \"value\": [2, null]';;\n"
          "*'\"value\":[3,'*) say '\"type\": \"fail\", \"error\": \"no-leader\"';;\n"
          "*'\"value\":[4,'*) say '\"type\": \"info\", \"error\": \"it broke: off\"';;\n"
          "*'\"value\":[5,'*) say '\"type\": \"ok\"';;\n"
          "*) say '\"type\": \"fail\", \"error\": \"busy\", \"detail\": \"by n2\"';; esac;;");
    struct op op = read_key(&worker, 1);
    expect(&op, OP_OK, "[1 5]");
    op = read_key(&worker, 2);
    expect(&op, OP_OK, "[2 nil]");
    op = read_key(&worker, 3);
    expect(&op, OP_FAIL, ":no-leader");
    op = read_key(&worker, 4);
    expect(&op, OP_INFO, "[:unknown \"it broke: off\"]");
    op = ask(&worker, "write", value_small(5), value_small(7));
    expect(&op, OP_OK, "[5 7]");
    op = read_key(&worker, 6);
    expect(&op, OP_FAIL, "[:busy \"by n2\"]");
    /* Of what system.json does not declare the program hears nothing. */
    op = ask(&worker, "cas", value_small(1), value_nil());
    expect(&op, OP_FAIL, ":not-declared");
    end(&worker);
}

/* Marks that an answer carries. */
struct marked {
    struct buf text;
};

static void note_mark(void *state, struct op *op)
{
    struct marked *marked = state;
    value_print(op->value, &marked->text);
    buf_add_char(&marked->text, '\n');
}

static void its_marks_are_kept(void **state)
{
    (void)state;
    struct worker worker;
    struct marked marked = {BUF_INIT};
    static struct control control;
    control.hooks.state = &marked;
    control.hooks.on_mark = note_mark;
    begin(&worker, "marking", "",
          "invoke) case $line in\n"
          "*'\"value\":[1,'*) say '\"type\": \"ok\", \"value\": [1, 5], \"marks\": [{\"kind\": "
          "\"failover\", \"text\": \"to n3 %s\"}, {\"kind\": \"slow\", \"text\": \"x\", "
          "\"lasted-ms\": 99999999999}]';;\n"
          "*) say '\"type\": \"info\", \"marks\": [7, {\"kind\": \"\"}]';; esac;;");
    worker.fake->test.control = &control;
    struct op op = read_key(&worker, 1);
    expect(&op, OP_OK, "[1 5]");
    assert_string_equal(buf_text(&marked.text),
                        "{:kind \"failover\", :text \"to n3 %s\", :nodes [\"n2\"]}\n"
                        "{:kind \"slow\", :text \"x\", :nodes [\"n2\"], :from 0}\n");
    buf_clear(&marked.text);
    op = read_key(&worker, 2);
    expect(&op, OP_INFO, ":unknown");
    assert_string_equal(buf_text(&marked.text), "");
    worker.fake->test.control = NULL;
    buf_free(&marked.text);
    end(&worker);
}

static void it_is_told_where_it_is(void **state)
{
    (void)state;
    struct worker worker;
    own_fixture_write(
        "told", "\"options\": {\"port\": {\"default\": 7}},",
        "open) case $line in *'\"protocol\":1,'*'\"workload\":\"register\"'*'\"timeout-ms\":250'*"
        "'\"node\":{\"name\":\"n2\",\"address\":'*'\"nodes\":[{\"name\":\"n1\"'*"
        "'\"options\":{\"port\":\"7\"}'*) echo \"{\\\"id\\\": $id}\";;\n"
        "*) echo \"{\\\"id\\\": $id, \\\"error\\\": \\\"bad: ${line//\\\"/}\\\"}\";; esac;;");
    prepare(&worker, "told");
    if (open_again(&worker) != ERR_NONE)
        fail_msg("%s", worker.err.message);
    end(&worker);
    own_fixture_write("refusing", "", "open) say '\"error\": \"no such port\"';;");
    prepare(&worker, "refusing");
    assert_int_equal(open_again(&worker), ERR_REMOTE);
    assert_string_equal(worker.err.message, "./client.sh: no such port");
    give_up(&worker);
}

/* The answer to one question comes when the next one is under way. */
static const char late[] = "invoke) n=$((n + 1)); [ $n = 1 ] && sleep 0.4\n"
                           "v=${line#*'\"value\":['}; v=${v%%,*}; say \"\\\"type\\\": \\\"ok\\\", "
                           "\\\"value\\\": [$v, $v$v]\";;";

static void a_late_answer_is_nobodys(void **state)
{
    (void)state;
    static const char *const modes[] = {"", "+, \"processes\": \"one\""};
    static const char *const names[] = {"late-each", "late-one"};
    for (int i = 0; i < 2; i++) {
        struct worker worker;
        begin(&worker, names[i], modes[i], late);
        struct op op = read_key(&worker, 1);
        expect(&op, OP_INFO, ":timeout");
        if (i == 0) { /* another process, which is as slow at first */
            op = read_key(&worker, 1);
            expect(&op, OP_INFO, ":timeout");
        } else { /* the same one, which has said what is too late before that */
            op = read_key(&worker, 2);
            expect(&op, OP_OK, "[2 22]");
            op = read_key(&worker, 3);
            expect(&op, OP_OK, "[3 33]");
        }
        end(&worker);
    }
}

static void a_crash_leaves_unknown_what_was_asked(void **state)
{
    (void)state;
    struct worker worker;
    begin(&worker, "crashing", "",
          "invoke) case $line in *'\"value\":[1,'*) exit 3;; *'\"value\":[2,'*) kill -9 $$;;\n"
          "*'\"value\":[3,'*) say '\"type\": \"ok\", \"value\": [3, 1]'; exit 0;;\n"
          "*) say '\"type\": \"ok\", \"value\": [4, 1]';; esac;;");
    struct op op = read_key(&worker, 1);
    expect(&op, OP_INFO, "[:client-died \"./client.sh ended with status 3\"]");
    op = read_key(&worker, 2);
    expect(&op, OP_INFO, "ended by signal 9");
    op = read_key(&worker, 3);
    expect(&op, OP_OK, "[3 1]");
    /* It is gone: of this one it has seen nothing, or the harness cannot know. Never ok. */
    struct timespec moment = {.tv_nsec = 50000000};
    nanosleep(&moment, NULL);
    op = read_key(&worker, 4);
    expect(&op, OP_FAIL, ":not-sent");
    op = read_key(&worker, 4);
    expect(&op, OP_OK, "[4 1]");
    end(&worker);
}

static void what_no_client_says_is_not_believed(void **state)
{
    (void)state;
    static const struct {
        const char *says, *part;
    } cases[] = {
        {"echo Segmentation fault", "no JSON object with the id of a question: 'Segmentation"},
        {"echo '[1, 2]'", "no JSON object"},
        {"echo '{\"id\": \"1\"}'", "no JSON object with the id"},
        {"echo \"{\\\"id\\\": $id, \\\"type\\\": \\\"ok\\\", \\\"value\\\": [1, 2]} x\"",
         "no JSON object"},
        {"echo \"{\\\"id\\\": 4000, \\\"type\\\": \\\"ok\\\", \\\"value\\\": [1, 2]}\"",
         "question 4000, which was never asked"},
        {"echo \"{\\\"id\\\": -1}\"", "question -1"},
        {"head -c 1200000 /dev/zero | tr '\\\\0' x", "a line of more than"},
        {"say '\"type\": \"perhaps\"'", ":bad-answer \"the answer's type is 'perhaps'"},
        {"say '\"value\": [1, 2]'", ":bad-answer \"the answer's type is ''"},
        {"say '\"type\": \"ok\", \"value\": 2'",
         ":bad-answer \"read was answered 2, which is not [same int?]"},
        {"say '\"type\": \"ok\", \"value\": [2, 2]'", ":bad-answer"}, /* of another key */
        {"say '\"type\": \"ok\", \"value\": [1, 2.0]'", ":bad-answer"},
        {"say '\"type\": \"ok\", \"value\": [1, \"2\"]'", ":bad-answer"},
        {"exec 1>&-; sleep 9", ":client-died"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct worker worker;
        char name[16], arms[256];
        snprintf(name, sizeof name, "bad%zu", i);
        snprintf(arms, sizeof arms, "invoke) %s;;", cases[i].says);
        begin(&worker, name, "", arms);
        struct op op = read_key(&worker, 1);
        expect(&op, OP_INFO, cases[i].part);
        end(&worker);
    }
}

/* ---- Many on one process ---- */

static void *read_two(void *argument)
{
    static struct op ops[2];
    struct worker *worker = argument;
    int which = worker->memory[31] == 0 ? 0 : 1;
    ops[which] = read_key(worker, 1 + which);
    return &ops[which];
}

static void answers_find_those_who_asked(void **state)
{
    (void)state;
    struct worker workers[2];
    /* Both questions are read before any is answered, the second first. */
    begin(&workers[0], "shared", "+, \"processes\": \"one\"",
          "invoke) v=${line#*'\"value\":['}; v=${v%%,*}\n"
          "text=\"{\\\"id\\\": $id, \\\"type\\\": \\\"ok\\\", \\\"value\\\": [$v, 7$v]}\"\n"
          "if [ -z \"$held\" ]; then held=$text; else echo \"$text\"; echo \"$held\"; fi;;");
    workers[1] = workers[0];
    workers[1].scratch = ARENA_INIT;
    assert_int_equal(open_again(&workers[1]), ERR_NONE);
    pthread_t threads[2];
    workers[1].memory[31] = 1;
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_two, &workers[i]), 0);
    for (int i = 0; i < 2; i++) {
        void *op;
        pthread_join(threads[i], &op);
        expect(op, OP_OK, i == 0 ? "[1 71]" : "[2 72]");
    }
    client_of(&workers[1])->close(workers[1].memory);
    arena_free(&workers[1].scratch);
    end(&workers[0]);
}

/* What hangs does not hold the others up for longer than they would wait anyway. */
static void who_hangs_is_found_out_before_the_run(void **state)
{
    (void)state;
    struct worker worker;
    struct err err = ERR_INIT;
    own_fixture_write("dumb", "", "open) exit 4;;");
    prepare(&worker, "dumb");
    assert_int_equal(own_rehearse(&worker.fake->test, &err), ERR_IO);
    assert_string_equal(err.message, "client: ./client.sh ended with status 4");
    give_up(&worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_it_says_is_what_happened),
        cmocka_unit_test(its_marks_are_kept),
        cmocka_unit_test(it_is_told_where_it_is),
        cmocka_unit_test(a_late_answer_is_nobodys),
        cmocka_unit_test(a_crash_leaves_unknown_what_was_asked),
        cmocka_unit_test(what_no_client_says_is_not_believed),
        cmocka_unit_test(answers_find_those_who_asked),
        cmocka_unit_test(who_hangs_is_found_out_before_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
