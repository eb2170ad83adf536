/* ec2: signatures that a second implementation, held against AWS's published examples, works out
 * too; instances found, stopped, started, rebooted, terminated; credentials, and their secrecy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/clock.h"
#include "nemeses/ec2_api.h"
#include "nemeses/nemeses.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/fake_ec2.h"
#include "tests/lib/sigv4.h"
#include "tests/lib/test.h"

/* ---- The judge is judged ---- */

/* From AWS's Signature Version 4 test suite, and from the example in its documentation (IAM). */
static void the_second_implementation_agrees_with_published_examples(void **state)
{
    (void)state;
    static const char date[] = "20150830T123600Z";
    static const struct {
        struct sigv4_request request;
        const char *service, *signed_headers, *signature;
    } examples[] = {
        {{"GET", "/", "", {{"host", "example.amazonaws.com"}, {"x-amz-date", date}}, 2, "", 0},
         "service",
         "host;x-amz-date",
         "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
        {{"POST", "/", "", {{"host", "example.amazonaws.com"}, {"x-amz-date", date}}, 2, "", 0},
         "service",
         "host;x-amz-date",
         "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
        {{"GET",
          "/",
          "Param2=value2&Param1=value1",
          {{"host", "example.amazonaws.com"}, {"x-amz-date", date}},
          2,
          "",
          0},
         "service",
         "host;x-amz-date",
         "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
        {{"POST",
          "/",
          "",
          {{"content-type", "application/x-www-form-urlencoded"},
           {"host", "example.amazonaws.com"},
           {"x-amz-date", date}},
          3,
          "Param1=value1",
          13},
         "service",
         "content-type;host;x-amz-date",
         "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
        {{"GET",
          "/",
          "Action=ListUsers&Version=2010-05-08",
          {{"content-type", "application/x-www-form-urlencoded; charset=utf-8"},
           {"host", "iam.amazonaws.com"},
           {"x-amz-date", date}},
          3,
          "",
          0},
         "iam",
         "content-type;host;x-amz-date",
         "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        char signature[SIGV4_HEX_SIZE];
        sigv4_sign(&examples[i].request, FAKE_EC2_SECRET, date, "us-east-1", examples[i].service,
                   examples[i].signed_headers, signature);
        assert_string_equal(signature, examples[i].signature);
    }
}

/* ---- The client ---- */

static void use_environment(const char *id, const char *secret, const char *token)
{
    unsetenv("AWS_REGION");
    unsetenv("AWS_DEFAULT_REGION");
    unsetenv("AWS_PROFILE");
    setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent/credentials", 1);
    if (id == NULL) {
        unsetenv("AWS_ACCESS_KEY_ID");
        unsetenv("AWS_SECRET_ACCESS_KEY");
    } else {
        setenv("AWS_ACCESS_KEY_ID", id, 1);
        setenv("AWS_SECRET_ACCESS_KEY", secret, 1);
    }
    if (token == NULL)
        unsetenv("AWS_SESSION_TOKEN");
    else
        setenv("AWS_SESSION_TOKEN", token, 1);
}

static struct ec2 *open_on(const struct fake_ec2 *fake, const char *profile)
{
    char endpoint[64];
    struct err err = ERR_INIT;
    struct ec2 *ec2 = NULL;
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u/", (unsigned)fake_ec2_port(fake));
    const struct ec2_options options = {FAKE_EC2_REGION, endpoint, profile};
    assert_ok(ec2_open(&options, &ec2, &err));
    return ec2;
}

static void requests_are_signed_as_the_server_works_out_itself(void **state)
{
    (void)state;
    struct fake_control *time = fake_new(1); /* sleeping takes none */
    struct fake_ec2 *fake = fake_ec2_start(3);
    struct ec2_instance found[2];
    struct err err = ERR_INIT;
    size_t count = 0;
    const char *why;
    use_environment(FAKE_EC2_ID, FAKE_EC2_SECRET, NULL);
    struct ec2 *ec2 = open_on(fake, "");
    assert_ok(ec2_find(ec2, "Name", "n2", found, 2, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(found[0].id, "i-2");
    assert_string_equal(found[0].state, "running");
    assert_ok(
        ec2_find(ec2, "Name", "a b&c=d/+~", found, 2, &count, &err)); /* escaped, and signed */
    assert_int_equal(count, 0);
    ec2_close(ec2);
    assert_int_equal(fake_ec2_disbelieved(fake, &why), 0);
    /* The wrong key, and a token that is demanded: the server is no rubber stamp. */
    use_environment(FAKE_EC2_ID, "another secret", NULL);
    ec2 = open_on(fake, "");
    assert_int_equal(ec2_find(ec2, "Name", "n2", found, 2, &count, &err), ERR_REMOTE);
    assert_contains(err.message, "status 401 AuthFailure: the signature does not match");
    assert_null(strstr(err.message, "secret"));
    ec2_close(ec2);
    fake_ec2_demand_token(fake, "a/token+with=signs==");
    use_environment(FAKE_EC2_ID, FAKE_EC2_SECRET, NULL);
    ec2 = open_on(fake, "");
    assert_int_equal(ec2_find(ec2, "Name", "n2", found, 2, &count, &err), ERR_REMOTE);
    ec2_close(ec2);
    use_environment(FAKE_EC2_ID, FAKE_EC2_SECRET, "a/token+with=signs==");
    ec2 = open_on(fake, "");
    assert_ok(ec2_find(ec2, "Name", "n2", found, 2, &count, &err));
    ec2_close(ec2);
    assert_int_equal(fake_ec2_disbelieved(fake, &why), 2);
    fake_ec2_stop(fake);
    fake_free(time);
}

static void states_are_awaited_and_refusals_told(void **state)
{
    (void)state;
    struct fake_control *time = fake_new(1); /* sleeping takes none */
    struct fake_ec2 *fake = fake_ec2_start(2);
    struct err err = ERR_INIT;
    use_environment(FAKE_EC2_ID, FAKE_EC2_SECRET, NULL);
    struct ec2 *ec2 = open_on(fake, "");
    assert_ok(ec2_ask(ec2, EC2_STOP, "i-1", &err));
    assert_string_equal(fake_ec2_state(fake, 0), "stopping");
    assert_ok(ec2_await(ec2, "i-1", "stopped", 60 * NS_PER_SECOND, &err));
    assert_int_equal(ec2_await(ec2, "i-2", "stopped", 0, &err), ERR_TIMEOUT);
    assert_string_equal(err.message, "i-2 is running, not stopped");
    fake_ec2_refuse(fake, 2); /* asked again, later */
    assert_ok(ec2_ask(ec2, EC2_START, "i-1", &err));
    fake_ec2_refuse(fake, 100);
    assert_int_equal(ec2_ask(ec2, EC2_REBOOT, "i-1", &err), ERR_REMOTE);
    assert_string_equal(err.message,
                        "EC2: RebootInstances: status 503 RequestLimitExceeded: slow down");
    fake_ec2_refuse(fake, 0);
    assert_int_equal(ec2_ask(ec2, EC2_TERMINATE, "i-9", &err), ERR_REMOTE);
    assert_contains(err.message, "InvalidInstanceID.NotFound: The instance ID 'i-9' does not");
    assert_string_equal(fake_ec2_log(fake), "StopInstances i-1 Force=true\nStartInstances i-1\n");
    ec2_close(ec2);
    fake_ec2_stop(fake);
    const struct ec2_options nobody = {FAKE_EC2_REGION, "http://127.0.0.1:1/", ""};
    assert_ok(ec2_open(&nobody, &ec2, &err));
    assert_int_equal(ec2_ask(ec2, EC2_STOP, "i-1", &err), ERR_IO);
    assert_contains(err.message, "http://127.0.0.1:1/");
    ec2_close(ec2);
    fake_free(time);
}

static void profiles_are_read_and_what_is_missing_is_told(void **state)
{
    (void)state;
    struct fake_control *time = fake_new(1); /* sleeping takes none */
    struct fake_ec2 *fake = fake_ec2_start(1);
    struct ec2 *ec2 = NULL;
    struct ec2_instance found;
    struct err err = ERR_INIT;
    size_t count;
    char path[64] = "/tmp/ordeal-credentials.XXXXXX";
    int fd = mkstemp(path);
    FILE *file = fdopen(fd, "w");
    assert_non_null(file);
    fprintf(file,
            "# of tests\n[default]\naws_access_key_id = WRONG\naws_secret_access_key = no\n\n"
            "[ci]\nregion=x\naws_access_key_id=%s\r\n  aws_secret_access_key = %s  \n"
            "[empty]\n[last]\naws_access_key_id=ONLY\n",
            FAKE_EC2_ID, FAKE_EC2_SECRET);
    fclose(file);
    use_environment(NULL, NULL, NULL);
    setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
    ec2 = open_on(fake, "ci");
    assert_ok(ec2_find(ec2, "Name", "n1", &found, 1, &count, &err));
    ec2_close(ec2);
    setenv("AWS_PROFILE", "ci", 1);
    ec2 = open_on(fake, "");
    assert_ok(ec2_find(ec2, "Name", "n1", &found, 1, &count, &err));
    ec2_close(ec2);
    static const char *const bad[] = {"empty", "last", "absent"};
    for (size_t i = 0; i < 3; i++) {
        const struct ec2_options options = {FAKE_EC2_REGION, "", bad[i]};
        assert_int_equal(ec2_open(&options, &ec2, &err), ERR_CONFIG);
        assert_contains(err.message, "no credentials: set AWS_ACCESS_KEY_ID");
        assert_contains(err.message, bad[i]);
        assert_null(strstr(err.message, "ONLY"));
    }
    const struct ec2_options nowhere = {"", "", "ci"};
    assert_int_equal(ec2_open(&nowhere, &ec2, &err), ERR_CONFIG);
    assert_contains(err.message, "no region: name one, or set AWS_REGION");
    const struct ec2_options odd = {"eu west", "", "ci"};
    assert_int_equal(ec2_open(&odd, &ec2, &err), ERR_CONFIG);
    unlink(path);
    fake_ec2_stop(fake);
    fake_free(time);
}

/* ---- The nemesis ---- */

static struct fake_control *cluster_on(const struct fake_ec2 *ec2, const char *action)
{
    char endpoint[64];
    struct fake_control *fake = fake_new(3);
    snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u/", (unsigned)fake_ec2_port(ec2));
    fake_set(fake, "ec2.endpoint", endpoint);
    fake_set(fake, "ec2.region", FAKE_EC2_REGION);
    fake_set(fake, "ec2.action", action);
    fake_set(fake, "ec2.targets", "n1+n3");
    use_environment(FAKE_EC2_ID, FAKE_EC2_SECRET, NULL);
    return fake;
}

static void instances_are_stopped_and_started(void **state)
{
    (void)state;
    static const struct {
        const char *action, *state, *log;
    } cases[] = {
        {"stop", "stopped",
         "StopInstances i-1 Force=true\nStopInstances i-3 Force=true\n"
         "StartInstances i-1\nStartInstances i-3\n"},
        {"reboot", "running", "RebootInstances i-1\nRebootInstances i-3\n"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct fake_ec2 *ec2 = fake_ec2_start(3);
        struct fake_control *fake = cluster_on(ec2, cases[i].action);
        struct err err = ERR_INIT;
        assert_ok(nemesis_ec2.check(&fake->test, &err));
        struct fault fault = fake_fault(fake, &nemesis_ec2, 1);
        assert_ok(nemesis_ec2.begin(&fake->test, &fault, &err));
        assert_int_equal(fault.nodes, 5);
        assert_int_equal(fault.begun_verified, VERIFIED_YES);
        assert_string_equal(fake_ec2_state(ec2, 0), cases[i].state);
        assert_string_equal(fake_ec2_state(ec2, 1), "running");
        assert_ok(nemesis_ec2.end(&fake->test, &fault, &err));
        assert_string_equal(fake_ec2_log(ec2), cases[i].log);
        assert_string_equal(fake_ec2_state(ec2, 2), "running");
        assert_true(fake_is_whole(fake));
        fake_fault_free(&fault);
        fake_free(fake);
        fake_ec2_stop(ec2);
    }
}

static void what_is_terminated_stays_so(void **state)
{
    (void)state;
    struct fake_ec2 *ec2 = fake_ec2_start(3);
    struct fake_control *fake = cluster_on(ec2, "terminate");
    struct err err = ERR_INIT;
    struct fault fault = fake_fault(fake, &nemesis_ec2, 1);
    assert_ok(nemesis_ec2.begin(&fake->test, &fault, &err));
    assert_string_equal(fake_ec2_state(ec2, 0), "terminated");
    assert_ok(nemesis_ec2.end(&fake->test, &fault, &err));
    assert_string_equal(fault.ended_evidence.data, "what was terminated stays so: n1, n3");
    assert_string_equal(fake_ec2_log(ec2), "TerminateInstances i-1\nTerminateInstances i-3\n");
    fake_fault_free(&fault);
    fake_free(fake);
    fake_ec2_stop(ec2);
}

/* What was noted for the node before it went, as after a kill of ordeal. */
static struct json *noted(const struct fake_control *fake, const char *node)
{
    char *calls = strdup(fake->calls.data), *rest = calls;
    struct json *how = NULL;
    struct err err = ERR_INIT;
    bool down = false;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *begin = strchr(line, '{'), *end = strrchr(line, '}');
        down = down || strncmp(line, "node_down ", 10) == 0;
        if (strncmp(line, "node_note_off ec2 ", 18) != 0 || strcmp(end + 2, node) != 0)
            continue;
        assert_false(down);
        end[1] = '\0';
        assert_ok(json_parse(begin, strlen(begin), "how", &how, &err));
    }
    free(calls);
    return how;
}

static void what_was_stopped_is_started_after_a_kill(void **state)
{
    (void)state;
    struct fake_ec2 *ec2 = fake_ec2_start(3);
    struct fake_control *fake = cluster_on(ec2, "stop");
    struct err err = ERR_INIT;
    struct buf said = BUF_INIT;
    struct fault fault = fake_fault(fake, &nemesis_ec2, 1);
    assert_ok(nemesis_ec2.begin(&fake->test, &fault, &err));
    struct json *how = noted(fake, "n3");
    assert_non_null(how);
    assert_null(noted(fake, "n2"));
    assert_string_equal(node_starters[0].name, "ec2");
    assert_ok(node_starters[0].start(how, &said, &err));
    assert_string_equal(said.data, "EC2, as its instance i-3");
    assert_string_equal(fake_ec2_state(ec2, 2), "running");
    assert_string_equal(fake_ec2_state(ec2, 0), "stopped");
    assert_ok(node_starters[0].start(how, &said, &err)); /* it runs: nothing is asked for */
    assert_string_equal(fake_ec2_log(ec2), "StopInstances i-1 Force=true\nStopInstances i-3 "
                                           "Force=true\nStartInstances i-3\n");
    /* Killed in the middle of stopping it; and one that is gone for good. */
    struct ec2 *client = open_on(ec2, "");
    assert_ok(ec2_ask(client, EC2_STOP, "i-3", &err));
    assert_ok(node_starters[0].start(how, &said, &err));
    assert_string_equal(fake_ec2_state(ec2, 2), "running");
    assert_ok(ec2_ask(client, EC2_TERMINATE, "i-3", &err));
    assert_int_equal(node_starters[0].start(how, &said, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.message, "ec2: i-3 is shutting-down: nothing starts it again");
    json_set_text(how, "instance", "i-77");
    assert_int_equal(node_starters[0].start(how, &said, &err), ERR_UNSUPPORTED);
    assert_string_equal(err.message, "ec2: EC2 tells nothing of i-77");
    use_environment(NULL, NULL, NULL);
    assert_int_equal(node_starters[0].start(how, &said, &err), ERR_CONFIG);
    assert_contains(err.message, "ec2: no credentials: set AWS_ACCESS_KEY_ID");
    ec2_close(client);
    json_free(how);
    buf_free(&said);
    fake_fault_free(&fault);
    fake_free(fake);
    fake_ec2_stop(ec2);
}

static void what_cannot_be_noted_is_not_stopped(void **state)
{
    (void)state;
    struct fake_ec2 *ec2 = fake_ec2_start(3);
    struct fake_control *fake = cluster_on(ec2, "stop");
    struct err err = ERR_INIT;
    fake->fail_always = "node_note_off";
    struct fault fault = fake_fault(fake, &nemesis_ec2, 1);
    assert_int_equal(nemesis_ec2.begin(&fake->test, &fault, &err), ERR_REMOTE);
    assert_string_equal(fake_ec2_log(ec2), "");
    fake_fault_free(&fault);
    fake_free(fake);
    fake_ec2_stop(ec2);
}

static void which_instance_a_node_is_must_be_clear(void **state)
{
    (void)state;
    struct fake_ec2 *ec2 = fake_ec2_start(2); /* of three nodes */
    struct fake_control *fake = cluster_on(ec2, "stop");
    struct err err = ERR_INIT;
    assert_int_equal(nemesis_ec2.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "0 instances have the tag Name=n3");
    fake_set(fake, "ec2.instances", "n3=i-2");
    assert_ok(nemesis_ec2.check(&fake->test, &err));
    fake_ec2_add_twin(ec2);
    assert_int_equal(nemesis_ec2.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "2 instances have the tag Name=n1");
    use_environment(NULL, NULL, NULL);
    assert_int_equal(nemesis_ec2.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "no credentials");
    fake->plan.local = true;
    assert_int_equal(nemesis_ec2.check(&fake->test, &err), ERR_CONFIG);
    assert_contains(err.message, "a local cluster's nodes are no instances");
    fake_free(fake);
    fake_ec2_stop(ec2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_second_implementation_agrees_with_published_examples),
        cmocka_unit_test(requests_are_signed_as_the_server_works_out_itself),
        cmocka_unit_test(states_are_awaited_and_refusals_told),
        cmocka_unit_test(profiles_are_read_and_what_is_missing_is_told),
        cmocka_unit_test(instances_are_stopped_and_started),
        cmocka_unit_test(what_is_terminated_stays_so),
        cmocka_unit_test(what_was_stopped_is_started_after_a_kill),
        cmocka_unit_test(what_cannot_be_noted_is_not_stopped),
        cmocka_unit_test(which_instance_a_node_is_must_be_clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
