/* Nemeses that are programs: the example, and programs that crash, hang, lie and babble. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "harness/nemesis_file.h"
#include "harness/program_pipe.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/test.h"

#define HELLO "hello) echo '{\"protocol\": 1, \"hits\": [\"network\"]}';;\n"

/* A program that answers by the arms of a `case`. */
static const struct nemesis *program(const char *name, const char *arms)
{
    char path[64];
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;
    snprintf(path, sizeof path, "./%s", name);
    buf_printf(&text,
               "#!/bin/bash\nwhile read -r line; do\n"
               "ask=${line#*'\"ask\":\"'}; case ${ask%%%%'\"'*} in\n%sesac\ndone\n",
               arms);
    assert_ok(file_write(path, text.data, text.length, &err));
    assert_int_equal(chmod(path, 0755), 0);
    buf_free(&text);
    const struct nemesis *nemesis = nemesis_open(path, &err);
    if (nemesis == NULL)
        fail_msg("%s", err.message);
    return nemesis;
}

static struct fault fault_of(struct fake_control *fake, const struct nemesis *nemesis)
{
    struct prng prng = prng_stream(7, "nemesis");
    return (struct fault){.id = 4,
                          .nemesis = nemesis,
                          .asked = nemesis->choose(&fake->test, &prng, &fake->arena),
                          .arena = &fake->arena};
}

static void the_example_works(void **state)
{
    (void)state;
    char path[4200];
    const char *source = getenv("ORDEAL_SOURCE");
    struct err err = ERR_INIT;
    snprintf(path, sizeof path, "%s/docs/examples/ballast", source == NULL ? "." : source);
    const struct nemesis *nemesis = nemesis_open(path, &err);
    assert_non_null(nemesis);
    assert_ptr_equal(nemesis_open(path, &err), nemesis);
    assert_ptr_equal(nemesis_named("ballast"), nemesis);
    assert_string_equal(nemesis->begin_f, "start-ballast");
    assert_int_equal(nemesis->hits, HITS_NOTHING);
    struct fake_control *fake = fake_new(3);
    assert_ok(nemesis->check(&fake->test, &err));
    struct fault fault = fault_of(fake, nemesis);
    assert_ok(nemesis->begin(&fake->test, &fault, &err));
    assert_int_equal(fault.begun_verified, VERIFIED_YES);
    assert_int_equal(node_set_count(fault.nodes), 1);
    assert_contains(fake->calls.data, "test_shell_output %s n");
    assert_contains(fault.begun_evidence.data, "/var/tmp/ordeal-ballast has ");
    assert_ok(nemesis->end(&fake->test, &fault, &err));
    assert_int_equal(fault.ended_verified, VERIFIED_YES);
    /* Repeated, it hits the same node, whatever was drawn. */
    for (uint32_t i = 0; i < 3; i++) {
        struct fault again = fault_of(fake, nemesis);
        struct value done = value_string(&fake->arena, fake->nodes[i].name);
        again.asked = nemesis->repeat(&fake->test, again.asked, done, NODE_SET(i), &fake->arena);
        assert_ok(nemesis->begin(&fake->test, &again, &err));
        assert_int_equal(again.nodes, NODE_SET(i));
        assert_ok(nemesis->end(&fake->test, &again, &err));
        fake_fault_free(&again);
    }
    fake_fault_free(&fault);
    fake_free(fake);
}

static void the_seed_draws(void **state)
{
    (void)state;
    const struct nemesis *nemesis =
        program("drawn", "hello) echo '{\"protocol\": 1, \"values\": [{\"a\": 1}, \":b\"]}';;\n");
    struct fake_control *fake = fake_new(3);
    struct prng one = prng_stream(1, "x"), same = prng_stream(1, "x");
    bool a = false, b = false;
    for (int i = 0; i < 20; i++) {
        struct value value = nemesis->choose(&fake->test, &one, &fake->arena);
        assert_true(value_equal(value, nemesis->choose(&fake->test, &same, &fake->arena)));
        value = value_get(value, "value");
        a = a || value_kind(value) == VALUE_MAP;
        b = b || value_kind(value) == VALUE_KEYWORD;
    }
    assert_true(a && b);
    assert_int_equal(nemesis->hits, 0); /* it does not say: it will be alone */
    fake_free(fake);
}

/* What a crash, or silence, left behind is not known: in force perhaps, and never verified. */
static void what_crashes_is_not_verified(void **state)
{
    (void)state;
    const struct nemesis *nemesis = program(
        "crashing", HELLO "check) echo '{}';;\nbegin) kill -9 $$;;\n"
                          "end) echo '{\"verified\": true, \"evidence\": \"cleaned up\"}';;\n");
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    struct fault fault = fault_of(fake, nemesis);
    assert_ok(nemesis->check(&fake->test, &err));
    assert_ok(nemesis->begin(&fake->test, &fault, &err));
    assert_int_equal(fault.begun_verified, VERIFIED_NO);
    assert_contains(fault.begun_evidence.data, "what it did is not known: ./crashing was ended by "
                                               "signal 9");
    assert_ok(nemesis->end(&fake->test, &fault, &err)); /* by a new process */
    assert_int_equal(fault.ended_verified, VERIFIED_YES);
    assert_string_equal(fault.ended_evidence.data, "cleaned up");
    fake_fault_free(&fault);
    nemesis = program("dying", HELLO "begin) echo '{\"verified\": true, \"evidence\": \"x\"}';;\n"
                                     "end) exit 3;;\n");
    fault = fault_of(fake, nemesis);
    assert_ok(nemesis->begin(&fake->test, &fault, &err));
    assert_int_equal(nemesis->end(&fake->test, &fault, &err), ERR_IO);
    assert_contains(err.message, "dying: ./dying ended with status 3");
    assert_int_equal(fault.ended_verified, VERIFIED_NO);
    fake_fault_free(&fault);
    fake_free(fake);
}

static void words_decide(void **state)
{
    (void)state;
    const struct nemesis *nemesis =
        program("wordy",
                HELLO "check) echo '{\"error\": \"no such thing here\"}';;\n"
                      "begin) case $line in *'\"fault\":4'*) echo '{\"error\": \"no way\"}';;\n"
                      "*'\"fault\":5'*) echo '{\"verified\": true}';;\n"
                      "*'\"fault\":6'*) echo '{\"verified\": true, \"evidence\": \"e\", \"nodes\": "
                      "[\"n7\"]}';;\n"
                      "*'\"fault\":7'*) echo 'Segmentation fault';;\n"
                      "*) echo '{\"evidence\": \"half of it\"}';; esac;;\n"
                      "end) echo '{\"error\": \"it stays\"}';;\n");
    struct fake_control *fake = fake_new(3);
    struct err err = ERR_INIT;
    assert_int_equal(nemesis->check(&fake->test, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.message, "no such thing here");
    static const char *const evidence[] = {
        "", "the nemesis gave no evidence",
        "what it did is not known: it speaks of a node 'n7', which there is not",
        "what it did is not known: ./wordy said what is no JSON object: 'Segmentation fault'",
        "half of it"};
    for (uint32_t i = 0; i < 5; i++) {
        struct fault fault = fault_of(fake, nemesis);
        fault.id = 4 + i;
        enum err_code code = nemesis->begin(&fake->test, &fault, &err);
        assert_int_equal(code, i == 0 ? ERR_REMOTE : ERR_NONE);
        assert_int_equal(fault.begun_verified, VERIFIED_NO);
        assert_string_equal(buf_text(&fault.begun_evidence), evidence[i]);
        if (i == 0)
            assert_string_equal(err.message, "wordy: no way");
        fake_fault_free(&fault);
    }
    struct fault fault = fault_of(fake, nemesis);
    assert_int_equal(nemesis->end(&fake->test, &fault, &err), ERR_REMOTE);
    assert_string_equal(err.message, "wordy: it stays");
    fake_fault_free(&fault);
    fake_free(fake);
}

static void expect_refusal(const char *path, const char *text, const char *message)
{
    struct err err = ERR_INIT;
    if (text != NULL) {
        assert_ok(file_write(path, text, strlen(text), &err));
        assert_int_equal(chmod(path, 0755), 0);
    }
    assert_null(nemesis_open(path, &err));
    assert_contains(err.message, message);
    assert_int_equal(err.code, ERR_CONFIG);
}

static void what_is_no_nemesis_is_refused(void **state)
{
    (void)state;
    expect_refusal("./absent", NULL, "nemesis ./absent: there is no such file");
    expect_refusal("./kill", "#!/bin/sh\n", "there is a nemesis kill already");
    expect_refusal("./Loud", "#!/bin/sh\n", "small letters");
    expect_refusal("./mute", "#!/bin/sh\nexit 1\n", "./mute ended with status 1");
    /* It may be gone before anything is said to it, or after. */
    expect_refusal("./gone", "#!/bin/sh\nexec <&-\nsleep 0.1\nexit 2\n",
                   "./gone ended with status 2");
    struct pipe_program program = {.path = "./gone", .unread = BUF_INIT};
    struct err err = ERR_INIT;
    assert_ok(pipe_start(&program, &err));
    usleep(300 * 1000);
    assert_int_equal(pipe_say(&program, "{}", INT64_MAX, &err), ERR_IO); /* and no signal */
    assert_contains(err.message, "./gone ended with status 2");
    assert_int_equal(program.pid, 0);
    expect_refusal("./future", "#!/bin/sh\nread l\necho '{\"protocol\": 2}'\nread l\n",
                   "does not say {\"protocol\": 1}");
    expect_refusal("./odd", "#!/bin/sh\nread l\necho '{\"protocol\": 1, \"hits\": [\"moon\"]}'\n",
                   "hits: 'moon' is none of");
    expect_refusal("./text.so", "no library", "nemesis ./text.so: ./text.so: ");
    assert_false(nemesis_is_file("kill"));
    assert_true(nemesis_is_file("mine.so") && nemesis_is_file("./mine"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_works),
        cmocka_unit_test(the_seed_draws),
        cmocka_unit_test(what_crashes_is_not_verified),
        cmocka_unit_test(words_decide),
        cmocka_unit_test(what_is_no_nemesis_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
