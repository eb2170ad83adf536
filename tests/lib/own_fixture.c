/* Systems of one's own for tests: see own_fixture.h. */
#include "tests/lib/own_fixture.h"

#include <stdio.h>
#include <sys/stat.h>

#include "harness/base/text.h"
#include "tests/lib/test.h"

static void write_text(const char *name, const char *file, const char *text, unsigned mode)
{
    char path[128];
    struct err err = ERR_INIT;
    snprintf(path, sizeof path, "%s/%s", name, file);
    struct buf copy = BUF_INIT;
    buf_add_text(&copy, text);
    assert_ok(file_write(path, buf_text(&copy), copy.length, &err));
    assert_int_equal(chmod(path, mode), 0);
    buf_free(&copy);
}

void own_fixture_write(const char *name, const char *members, const char *arms)
{
    struct buf text = BUF_INIT;
    mkdir(name, 0755);
    buf_printf(&text,
               "{\"ordeal\": 1,\n%s\n\"daemons\": [{\"run\": [\"db\"]}],\n"
               "\"client\": {\"run\": [\"./client.sh\"]%s},\n"
               "\"workloads\": {\"register\": [\"read\", \"write\"]}}\n",
               members[0] == '+' ? "" : members, members[0] == '+' ? members + 1 : "");
    write_text(name, "system.json", text.data, 0644);
    buf_clear(&text);
    buf_printf(&text,
               "#!/bin/bash\n"
               "say() { echo \"{\\\"id\\\": $id, $1}\"; }\n"
               "while read -r line; do\n"
               "ask=${line#*'\"ask\":\"'}; ask=${ask%%%%'\"'*}\n"
               "id=${line#*'\"id\":'}; id=${id%%%%,*}\n"
               "case $ask in\n%s\n"
               "*) echo \"{\\\"id\\\": $id}\";;\nesac\ndone\n",
               arms);
    write_text(name, "client.sh", text.data, 0755);
    buf_free(&text);
}

enum err_code own_fixture_plan(struct plan *plan, const char *name, const char *const *flags,
                               struct err *err)
{
    char path[128];
    snprintf(path, sizeof path, "./%s", name);
    plan_init(plan);
    assert_int_equal(plan_set(plan, "system", path, "--system", err), ERR_NONE);
    assert_int_equal(plan_set(plan, "nemesis", "none", "--nemesis", err), ERR_NONE);
    assert_int_equal(plan_set(plan, "local", "3", "--local", err), ERR_NONE);
    assert_int_equal(plan_set(plan, "op-timeout", "250ms", "--op-timeout", err), ERR_NONE);
    for (; flags != NULL && flags[0] != NULL; flags += 2)
        assert_int_equal(plan_set(plan, flags[0], flags[1], flags[0], err), ERR_NONE);
    return plan_resolve(plan, err);
}
