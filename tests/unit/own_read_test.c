/* system.json: read, and refused with file, line, place and what was expected; templates filled in;
 * what is missing on this machine told before the run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/base/text.h"
#include "tests/lib/fake_control.h"
#include "tests/lib/own_fixture.h"
#include "tests/lib/test.h"
#include "workloads/systems/own.h"

static void write_system(const char *name, const char *text)
{
    char path[64];
    struct err err = ERR_INIT;
    mkdir(name, 0755);
    snprintf(path, sizeof path, "%s/system.json", name);
    assert_ok(file_write(path, text, strlen(text), &err));
}

#define REST                                                                                       \
    "\"daemons\": [{\"run\": [\"db\"]}], \"client\": {\"run\": [\"./c\"]}, "                       \
    "\"workloads\": {\"register\": [\"read\"]}}"

static void what_is_wrong_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "wrong/system.json:1:1: "},
        {"{\"ordeal\": 1,\n \"x\": }", "wrong/system.json:2:"},
        {"[1]", "wrong/system.json:1: the file: must be a JSON object"},
        {"{}", "wrong/system.json:1: ordeal: must be 1, the version of this format"},
        {"{\"ordeal\": 2}", "ordeal: must be 1"},
        {"{\"ordeal\": 1}", "daemons: must be there"},
        {"{\"ordeal\": 1, \"name\": \"My DB\"}", "name: must be at most 32 small letters"},
        {"{\"ordeal\": 1, \"name\": \"etcd\"}", "name: ordeal has a system of that name already"},
        {"{\"ordeal\": 1,\n\n \"deamons\": []}",
         "wrong/system.json:3: deamons: there is no such member; did you mean \"daemons\"?"},
        {"{\"ordeal\": 1, \"qqqqqq\": []}", "qqqqqq: there is no such member; it has ordeal, name"},
        {"{\"ordeal\": 1, \"daemons\": {}}", "daemons: must be there: a list"},
        {"{\"ordeal\": 1, \"daemons\": [3]}", "daemons[0]: must be an object"},
        {"{\"ordeal\": 1, \"daemons\": [{\"name\": \"db\"}]}", "daemons[0].run: must be there"},
        {"{\"ordeal\": 1,\n \"daemons\": [{\"run\": \"db\"}]}",
         "wrong/system.json:2: daemons[0].run: must be a list of texts"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\", 7]}]}",
         "daemons[0].run[1]: must be a text"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"{{nod}}\"]}]}",
         "daemons[0].run[0]: there is no {{nod}}; did you mean {{node}}?"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"{{node\"]}]}",
         "daemons[0].run[0]: '{{node' has no }}"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"{{each peers}}x\"]}]}",
         "{{each peers}} has no {{end}}"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"{{each cats}}x{{end}}\"]}]}",
         "{{each cats}}: it is {{each nodes}} or {{each peers}}"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"{{data-dir}}\"]}]}",
         "{{data-dir}}: there is no \"data-dir\""},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"{{set.port}}\"]}]}",
         "there is no {{set.port}}"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"a\"]}, {\"run\": [\"b\"]}]}",
         "daemons[1].name: another daemon is called that already"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"a\"], \"log\": \"x.log\"}]}",
         "daemons[0].log: must be a full path"},
        {"{\"ordeal\": 1, \"install\": 7, " REST, "install: must be a text that is not empty"},
        {"{\"ordeal\": 1, \"ready\": \"{{x}}\", " REST, "ready: there is no {{x}}"},
        {"{\"ordeal\": 1, \"files\": {}, " REST, "files: must be a list"},
        {"{\"ordeal\": 1, \"files\": [{\"path\": \"/a\"}], " REST,
         "files[0]: must have \"local\" or \"content\", and not both"},
        {"{\"ordeal\": 1, \"files\": [{\"local\": \"a\", \"path\": \"a\"}], " REST,
         "files[0].path: must be a full path"},
        {"{\"ordeal\": 1, \"files\": [{\"local\": \"a\", \"path\": \"/a\", \"mode\": "
         "\"rwx\"}], " REST,
         "files[0].mode: must be octal"},
        {"{\"ordeal\": 1, \"files\": [{\"local\": \"{{node}}\", \"path\": \"/a\"}], " REST,
         "files[0].local: {{node}} is not known here"},
        {"{\"ordeal\": 1, \"options\": {\"a\": 7}, " REST, "options.a: must be an object"},
        {"{\"ordeal\": 1, \"options\": {\"A\": {}}, " REST, "options.A: an option is called by"},
        {"{\"ordeal\": 1, \"options\": {\"a\": {\"kind\": \"number\"}}, " REST,
         "options.a.kind: must be text, int"},
        {"{\"ordeal\": 1, \"options\": {\"a\": {\"kind\": \"int\", \"default\": \"x\"}}, " REST,
         "options.a.default: wrong.a: "},
        {"{\"ordeal\": 1, \"options\": {\"a\": {\"kind\": \"choice\"}}, " REST, "go together"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}]}", "client: must be there"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": {}}",
         "client.run: must be there"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": {\"run\": "
         "[\"{{address}}\"]}}",
         "client.run[0]: {{address}} is not known here; what a client"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": {\"run\": [\"./c\"], "
         "\"processes\": \"two\"}}",
         "client.processes: must be \"each\""},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": {\"run\": [\"./c\"]}}",
         "workloads: must be there"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": {\"run\": [\"./c\"]}, "
         "\"workloads\": {\"registre\": []}}",
         "workloads.registre: there is no workload 'registre'; did you mean 'register'?"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": {\"run\": [\"./c\"]}, "
         "\"workloads\": {\"register\": [\"reed\"]}}",
         "workloads.register: 'reed' is no operation of register: read, write, cas"},
        {"{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": {\"run\": [\"./c\"]}, "
         "\"workloads\": {\"noop\": [\"noop\"]}}",
         "workloads.noop: this workload has no words"},
        {"{\"ordeal\": 1, \"defaults\": {\"cas\": 0}, " REST, "defaults.cas: must be OWNER.OPTION"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = ERR_INIT;
        write_system("wrong", cases[i].text);
        struct own_system *own = own_read("wrong", NULL, &err);
        if (own != NULL || err.code != ERR_CONFIG || strstr(err.message, cases[i].part) == NULL ||
            strncmp(err.message, "wrong/system.json:", 18) != 0)
            fail_msg("%s\n  says: %s\n  and not: %s", cases[i].text, err.message, cases[i].part);
    }
}

static void expect_plan(const char *name, const char *const *flags, const char *part)
{
    struct plan plan;
    struct err err = ERR_INIT;
    if (own_fixture_plan(&plan, name, flags, &err) != ERR_CONFIG ||
        strstr(err.message, part) == NULL)
        fail_msg("%s: '%s', not '%s'", name, err.message, part);
    plan_free(&plan);
}

static void what_is_missing_is_told_before_the_run(void **state)
{
    (void)state;
    own_fixture_write("good", "", "");
    struct plan plan;
    struct err err = ERR_INIT;
    assert_ok(own_fixture_plan(&plan, "good", NULL, &err));
    char full[4096];
    assert_non_null(realpath("good", full));
    assert_string_equal(plan_text(&plan, "system"), full); /* so that plan.json runs anywhere */
    assert_string_equal(plan.name, "good-register");
    plan_free(&plan);

    expect_plan("no-such-dir", NULL, "there is no directory ./no-such-dir");
    mkdir("empty", 0755);
    expect_plan("empty", NULL, "./empty has no system.json");
    own_fixture_write("plain", "", "");
    assert_int_equal(chmod("plain/client.sh", 0644), 0);
    expect_plan("plain", NULL, "plain/client.sh is not executable (chmod +x)");
    own_fixture_write("gone", "", "");
    assert_int_equal(unlink("gone/client.sh"), 0);
    expect_plan("gone", NULL, "client.run: there is no file ");
    write_system("nowhere", "{\"ordeal\": 1, \"daemons\": [{\"run\": [\"db\"]}], \"client\": "
                            "{\"run\": [\"no-such-program-here\"]}, \"workloads\": "
                            "{\"register\": [\"read\"]}}");
    expect_plan("nowhere", NULL, "there is no program no-such-program-here in PATH; a file beside");
    own_fixture_write("fileless",
                      "\"files\": [{\"local\": \"server\", \"path\": \"/opt/server\"}],", "");
    expect_plan("fileless", NULL, "files[0].local: there is no file 'server'");
    own_fixture_write("filled",
                      "\"files\": [{\"local\": \"conf\", \"fill\": true, \"path\": "
                      "\"/etc/db.conf\"}],",
                      "");
    assert_ok(file_write("filled/conf", "a={{adress}}", 12, &err));
    expect_plan("filled", NULL, "conf: there is no {{adress}}; did you mean {{address}}?");
    own_fixture_write(
        "needy", "\"options\": {\"binary\": {\"kind\": \"file\", \"help\": \"the server\"}},", "");
    expect_plan("needy", NULL, "needy.binary must be given (--set needy.binary=..): the server");
    expect_plan("good", ((const char *const[]){"workload", "queue", NULL}),
                "the system good has no client for the workload queue; it has for: ");
    expect_plan("good", ((const char *const[]){"set", "good.port=1", NULL}),
                "'good' has no option 'port'");
    /* A path with blanks is a path. */
    own_fixture_write("with blank", "\"name\": \"blank\",", "");
    assert_ok(own_fixture_plan(&plan, "with blank", NULL, &err));
    plan_free(&plan);
}

static void names_are_found_in_the_search_path(void **state)
{
    (void)state;
    struct err err = ERR_INIT;
    mkdir("place", 0755);
    own_fixture_write("place/found", "", "");
    own_fixture_write("place/broken", "\"nonsense\": 1,", "");
    setenv("ORDEAL_SYSTEMS", "/no/such/place:place", 1);
    const struct system *system = system_named("found", &err);
    assert_non_null(system);
    assert_string_equal(system->name, "found");
    assert_string_equal(system_reference(system), "found");
    assert_ptr_equal(system_named("place/found/", &err), system);
    assert_ptr_equal(system_named("place/found/system.json", &err), system);
    assert_null(system_named("broken", &err));
    assert_contains(err.message, "place/broken/system.json:2: nonsense: there is no such member");
    assert_null(system_named("foundd", &err));
    assert_contains(err.message, "there is no system 'foundd'");
    assert_string_equal(system_reference(system_named("etcd", &err)), "etcd");
    unsetenv("ORDEAL_SYSTEMS");
}

static void templates_are_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *text, *filled;
    } cases[] = {
        {"plain {x} ${y}", "plain {x} ${y}"},
        {"{{node}} {{index}}/{{node-count}} {{first}}", "n2 1/3 n1"},
        {"{{nodes}} {{peers}}", "n1,n2,n3 n1,n3"},
        {"{{set.port}}{{set.port}} {{data-dir}}", "77 /var/lib/filling"},
        {"{{each nodes}}{{node}}=:{{set.port}}{{end}}", "n1=:7,n2=:7,n3=:7"},
        {"{{each peers ; }}{{node}}.{{index}}{{end}}!", "n1.0; n3.2!"},
        {"{{each nodes \\n}}{{node}}{{end}}", "n1\nn2\nn3"},
        {"{{system}} {{workload}} {{seed}}", "filling register 5"},
        {"", ""},
    };
    struct plan plan;
    struct err err = ERR_INIT;
    own_fixture_write("filling",
                      "\"options\": {\"port\": {\"default\": 7, \"kind\": \"int\"}}, "
                      "\"data-dir\": \"/var/lib/filling\",",
                      "");
    assert_ok(own_fixture_plan(&plan, "filling", ((const char *const[]){"seed", "5", NULL}), &err));
    struct fake_control *fake = fake_new(3);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf out = BUF_INIT;
        assert_ok(
            own_fill(own_of(&plan), &plan, &fake->test, 1, OWN_ON_NODE, cases[i].text, &out, &err));
        assert_string_equal(buf_text(&out), cases[i].filled);
        buf_free(&out);
    }
    fake_free(fake);
    plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(what_is_missing_is_told_before_the_run),
        cmocka_unit_test(names_are_found_in_the_search_path),
        cmocka_unit_test(templates_are_filled_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
