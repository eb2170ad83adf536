/* Inventories: tables of good files with the nodes that they are, and of bad ones with what is said
 * of them. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/json.h"
#include "harness/base/text.h"
#include "harness/inventories/inventory.h"
#include "harness/node.h"
#include "harness/plan.h"
#include "tests/lib/test.h"

/* "name=web1 address=10.0.0.1; name=web2" */
static void print_nodes(const struct json *nodes, struct buf *out)
{
    for (const struct json *node = json_first(nodes); node != NULL; node = json_next(node)) {
        buf_add_text(out, out->length > 0 ? "; " : "");
        for (const struct json *one = json_first(node); one != NULL; one = json_next(one))
            buf_printf(out, "%s%s=%s", one == json_first(node) ? "" : " ", json_key(one),
                       json_as_text(one, "?"));
    }
}

struct good {
    const char *text, *hosts, *nodes;
};
struct bad {
    const char *text, *hosts, *message;
};

static void expect_good(const struct good *cases, size_t count, enum inventory_format format)
{
    for (size_t i = 0; i < count; i++) {
        struct json *nodes = NULL;
        struct err err = ERR_INIT;
        struct buf shown = BUF_INIT;
        if (inventory_parse(cases[i].text, strlen(cases[i].text), "f", format, cases[i].hosts,
                            &nodes, &err) != ERR_NONE)
            fail_msg("refused: %s: %s", cases[i].text, err.message);
        print_nodes(nodes, &shown);
        if (strcmp(buf_text(&shown), cases[i].nodes) != 0)
            fail_msg("%s\nis '%s'\nnot '%s'", cases[i].text, buf_text(&shown), cases[i].nodes);
        buf_free(&shown);
        json_free(nodes);
    }
}

static void expect_bad(const struct bad *cases, size_t count, enum inventory_format format)
{
    for (size_t i = 0; i < count; i++) {
        struct json *nodes = NULL;
        struct err err = ERR_INIT;
        if (inventory_parse(cases[i].text, strlen(cases[i].text), "f", format, cases[i].hosts,
                            &nodes, &err) != ERR_CONFIG)
            fail_msg("not refused: %s (%s)", cases[i].text, err.message);
        assert_contains(err.message, cases[i].message);
    }
}
#define COUNT(cases) (sizeof(cases) / sizeof *(cases))

static void ini_files_are_read_as_ansible_does(void **state)
{
    (void)state;
    static const struct good cases[] = {
        {"n1\nn2\n", NULL, "name=n1; name=n2"},
        {"# a comment\n; another\n\n  n1   # behind\r\nn2", NULL, "name=n1; name=n2"},
        {"n1 ansible_host=10.0.0.1 ansible_user=me ansible_port=2222\n", NULL,
         "name=n1 address=10.0.0.1 port=2222 user=me"},
        {"n1:2200 ansible_ssh_host=a ansible_ssh_user=b\n", NULL,
         "name=n1 address=a port=2200 user=b"},
        {"n1 ansible_ssh_private_key_file='~/my keys/id' ordeal_peer_address=10.1.0.1 "
         "ordeal_peer_address6=fd00::1\n",
         NULL, "name=n1 key=~/my keys/id peer-address=10.1.0.1 peer-address6=fd00::1"},
        {"n1 ansible_user=\"a\\\"b\" other=#x\n", NULL, "name=n1 user=a\"b"},
        {"[2001:db8::1]:22\n", NULL, "name=2001:db8::1 port=22"},
        {"2001:db8::1\n", NULL, "name=2001:db8::1"},
        {"web[1:3]\n", NULL, "name=web1; name=web2; name=web3"},
        {"web[08:12:2].x\n", NULL, "name=web08.x; name=web10.x; name=web12.x"},
        {"[db]\n[a:b][:1]:77\n", NULL, /* a range, and no section */
         "name=a0 port=77; name=a1 port=77; name=b0 port=77; name=b1 port=77"},
        {"n9\n[db]\nn1\nn2\n[web]\nn3\nn1\n", "db", "name=n1; name=n2"},
        {"n9\n[db]\nn1\nn2\n[web]\nn3\nn1\n", NULL, "name=n9; name=n1; name=n2; name=n3"},
        {"n9\n[db]\nn1\nn2\n[web]\nn3\nn1\n", "ungrouped,web", "name=n9; name=n1; name=n3"},
        {"n9\n[db]\nn1\nn2\n[web]\nn3\nn1\n", "!web,db", "name=n2"},
        {"n9\n[db]\nn1\nn2\n[web]\nn3\nn1\n", "!n1", "name=n9; name=n2; name=n3"},
        {"n9\n[db]\nn1\nn2\n[web]\nn3\nn1\n", "n?,!n9", "name=n1; name=n2; name=n3"},
        /* all < parent < child < host, whatever the order of the sections */
        {"[low:vars]\nansible_user = low\n[high:children]\nlow\n[all:vars]\nansible_user=all\n"
         "ansible_port = 1\n[high:vars]\nansible_user=high\nansible_port=2\n[low]\nn1\nn2 "
         "ansible_user=own\n[other]\nn3\n",
         NULL, "name=n1 port=2 user=low; name=n2 port=2 user=own; name=n3 port=1 user=all"},
        /* equally deep: the last by name */
        {"[b]\nn1\n[a]\nn1\n[a:vars]\nansible_user=a\n[b:vars]\nansible_user=b\n", NULL,
         "name=n1 user=b"},
        {"[a:vars]\nansible_user = 'x y' \n[a]\nn1\n", NULL, "name=n1 user=x y"},
        {"n1\n[all:vars]\nansible_ssh_common_args='-o StrictHostKeyChecking=no -o "
         "ProxyJump=me@gate:2222'\n",
         NULL, "name=n1 jump=me@gate:2222"},
        {"n1 ansible_ssh_common_args=\"-J gate -v\"\nn2 ordeal_jump=other "
         "ansible_ssh_common_args='-J gate'\nn3 ansible_ssh_common_args='-J none'\n",
         NULL, "name=n1 jump=gate; name=n2 jump=other; name=n3"},
        {"n1 ansible_connection=ssh ansible_become=true x={{y}}\n", NULL, "name=n1"},
        {"n1 ansible_user=a\nn1 ansible_user=b\n", NULL, "name=n1 user=b"},
        {"", NULL, ""},
    };
    expect_good(cases, COUNT(cases), INVENTORY_INI);
}

static void bad_ini_files_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        {"n1\n[db\n", NULL, "f:2: '[db' is no section"},
        {"[db] x\n", NULL, "f:1: '[db] x' is no section"},
        {"[]\n", NULL, "is no section"},
        {"[db:hostvars]\n", NULL, "f:1: [db:hostvars]: a group has vars or children"},
        {"[db]\nn1 x\n", NULL, "f:2: 'x' behind the host n1 is not NAME=VALUE"},
        {"n1 =x\n", NULL, "is not NAME=VALUE"},
        {"n1 x='y\n", NULL, "f:1: a quotation mark ' is not closed"},
        {"\n\nn[1:x]\n", NULL, "f:3: 'n[1:x]': a range is"},
        {"n[5:1]\n", NULL, "a range is"},
        {"n[1:2:0]\n", NULL, "a range is"},
        {"n[1\n", NULL, "a range is"},
        {"n[0:999999]\n", NULL, "a range is"},
        {"n[0:999][0:999]\n", NULL, "more than 5000 hosts"},
        {"n1:0\n", NULL, "'0' is not a port"},
        {"n1:ssh\n", NULL, "'ssh' is not a port"},
        {"[a]\nn1\n[b:vars]\nx=1\n", NULL, "f:3: the group b is used, but there is no section [b]"},
        {"[a:children]\nb\n", NULL, "f:2: the group b is used"},
        {"[a:children]\nb\n[b:children]\na\n", NULL,
         "f:4: the group a cannot be among the children"},
        {"[a:children]\na\n", NULL, "f:2: the group a cannot be among"},
        {"[a:vars]\nx\n[a]\n", NULL, "f:2: 'x' is not NAME = VALUE"},
        {"[a]\nn1\n", "b", "f: it has no group or host 'b'; its groups are all, ungrouped, a"},
        {"[a]\nn1\n", "!b", "no group or host 'b'"},
        {"n1\n[all:vars]\nansible_host={{ip}}\n", NULL, "f:3: host n1: ansible_host is a template"},
        {"n1 ansible_connection=local\n", NULL, "f:1: host n1: ansible_connection is local"},
        {"n1 ansible_ssh_common_args='-o ProxyCommand=\"ssh -W %h:%p gate\"'\n", NULL,
         "ProxyCommand is not possible here"},
    };
    expect_bad(cases, COUNT(cases), INVENTORY_INI);
}

static void yaml_files_are_read_as_ansible_does(void **state)
{
    (void)state;
    static const struct good cases[] = {
        {"all:\n  hosts:\n    n1:\n    n2: {ansible_host: 10.0.0.2, ansible_port: 2222}\n", NULL,
         "name=n1; name=n2 address=10.0.0.2 port=2222"},
        {"all:\n  vars: {ansible_user: all}\n  children:\n    db:\n      vars:\n"
         "        ansible_user: db\n      hosts:\n        n[1:2]:\n          x: [1]\n"
         "    web:\n      hosts: {n3: , 'n1': {ansible_port: 7}}\n",
         NULL, "name=n1 port=7 user=db; name=n2 user=db; name=n3 user=all"},
        {"db:\n  hosts: {n1: }\nweb:\n  hosts: {n2: }\n", "web", "name=n2"},
        {"all:\n  hosts:\n    n1: &one {ansible_user: me, ansible_port: 1}\n"
         "    n2: {<<: *one, ansible_port: 2}\n    n3: *one\n",
         NULL, "name=n1 port=1 user=me; name=n2 port=2 user=me; name=n3 port=1 user=me"},
        {"all:\n  hosts:\n    n1: {ansible_ssh_common_args: '-o ProxyJump=gate', ansible_password: "
         "!vault secret, y: {a: b}}\n",
         NULL, "name=n1 jump=gate"},
        {"{\"all\": {\"hosts\": {\"n1\": {\"ansible_host\": \"a\"}}}}", NULL, "name=n1 address=a"},
        {"all:\n  hosts:\n", NULL, ""},
    };
    expect_good(cases, COUNT(cases), INVENTORY_YAML);
}

static void bad_yaml_files_are_refused_with_their_line(void **state)
{
    (void)state;
    static const struct bad cases[] = {
        {"", NULL, "f:1: there is nothing in it"},
        {"all: [\n", NULL, "not YAML"},
        {"all:\n  hosts: {n1: }\n hosts: x\n", NULL, "f:3: not YAML"},
        {"- n1\n", NULL, "f:1: an inventory is a mapping of groups"},
        {"all:\n  hosts: [n1]\n", NULL, "f:2: hosts must be a mapping"},
        {"all:\n  host: {n1: }\n", NULL, "f:2: the group all has 'host'"},
        {"all:\n  hosts:\n    n1: x\n", NULL, "f:3: n1 must be a mapping"},
        {"all:\n  hosts:\n    [a]: {}\n", NULL, "a name must be a plain text"},
        {"all:\n  children: {a: {children: {all: }}}\n", NULL, "cannot be among the children"},
        {"all:\n  hosts:\n    n1:\n      ansible_host: [a]\n", NULL,
         "f:4: host n1: ansible_host must be a plain value"},
        {"all:\n  hosts:\n    n1:\n      ansible_user: !vault |\n        $ANSIBLE_VAULT;1.1\n",
         NULL, "f:4: host n1: ansible_user must be a plain value (neither a list nor encrypted)"},
        {"a: &a {children: {b: *a}}\n", NULL, "f:1: "}, /* it would never end */
    };
    expect_bad(cases, COUNT(cases), INVENTORY_YAML);
}

static void terraform_outputs_are_nodes(void **state)
{
    (void)state;
#define OUTPUT(name, value)                                                                        \
    "\"" name "\": {\"sensitive\": false, \"type\": \"x\", \"value\": " value "}"
    static const struct good cases[] = {
        {"{" OUTPUT("vpc", "\"v-1\"") "," OUTPUT("nodes", "[\"10.0.0.1\", \"10.0.0.2\"]") "}", NULL,
         "address=10.0.0.1; address=10.0.0.2"},
        {"{" OUTPUT("ips", "{\"n1\": \"10.0.0.1\"}") "}", NULL, "name=n1 address=10.0.0.1"},
        {"{" OUTPUT("a", "[\"x\"]") "," OUTPUT("b", "[\"y\"]") "}", "b", "address=y"},
        {"{" OUTPUT("nodes",
                    "[{\"name\": \"n1\", \"public_ip\": \"1.2.3.4\", \"private_ip\": \"10.0.0.1\", "
                    "\"user\": \"admin\", \"port\": 2222, \"tags\": {}, \"bastion\": null}]") "}",
         NULL, "name=n1 address=1.2.3.4 port=2222 user=admin peer-address=10.0.0.1"},
        {"{\"n1\": {\"ipv4_address\": \"1.2.3.4\", \"ssh_user\": \"root\", \"bastion\": \"g\"}}",
         NULL, "name=n1 address=1.2.3.4 user=root jump=g"},
        {"[\"a\", {\"address\": \"b\", \"name\": \"n2\"}, {\"name\": \"c\"}]", NULL,
         "address=a; name=n2 address=b; name=c"},
        {"{\"_meta\": {\"hostvars\": {\"n1\": {\"ansible_host\": \"a\", \"ansible_port\": 7}, "
         "\"n2\": {\"ansible_user\": \"u\"}}}, \"all\": {\"children\": [\"ungrouped\", \"db\"]}, "
         "\"db\": {\"hosts\": [\"n1\"]}, \"ungrouped\": {\"hosts\": [\"n2\"]}}",
         "db", "name=n1 address=a port=7"},
    };
    expect_good(cases, COUNT(cases), INVENTORY_JSON);
    static const struct bad wrong[] = {
        {"{" OUTPUT("a", "[\"x\"]") "," OUTPUT("b", "[\"y\"]") "}", NULL,
         "f: no output is called nodes: say which has them with --inventory-hosts: a, b"},
        {"{" OUTPUT("a", "[\"x\"]") "}", "c", "f: it has no output 'c'; there are a"},
        {"{" OUTPUT("nodes", "\n\"x\"") "}", NULL, "f:1: nodes must be a list or a map"},
        {"{" OUTPUT("nodes", "[\n\"x\",\n4]") "}", NULL, "f:3: a node must be an address"},
        {"[{\"name\": []}]", NULL, "f:1: name must be a text or a number"},
        {"[{}]", NULL, "a node needs an address"},
        {"{\"n1\": {\"user\": \"x\"}}", NULL, "a node needs an address"},
        {"4", NULL, "nodes must be a list"},
        {"[", NULL, "f:1:"},
        {"[\"a\"]", "x", "cannot choose one"},
    };
    expect_bad(wrong, COUNT(wrong), INVENTORY_JSON);
}

static void formats_are_told_by_the_name(void **state)
{
    (void)state;
    assert_int_equal(inventory_format_of("a/hosts"), INVENTORY_INI);
    assert_int_equal(inventory_format_of("hosts.ini"), INVENTORY_INI);
    assert_int_equal(inventory_format_of("x.YML"), INVENTORY_YAML);
    assert_int_equal(inventory_format_of("x.yaml"), INVENTORY_YAML);
    assert_int_equal(inventory_format_of("x.json"), INVENTORY_JSON);
}

/* ---- Plans ---- */

static void a_plan_has_the_nodes_of_an_inventory(void **state)
{
    (void)state;
    static const char text[] = "n1 ansible_host=10.0.0.1 ansible_user=me ansible_port=2222 "
                               "ansible_private_key_file=a,b\n[db]\nn2 ordeal_jump=gate:7 "
                               "ordeal_peer_address=10.1.0.2\n";
    struct err err = ERR_INIT;
    struct plan plan, again;
    assert_ok(file_write("hosts", text, strlen(text), &err));
    plan_init(&plan);
    assert_ok(plan_set(&plan, "local", "3", "--local", &err));
    assert_ok(plan_set(&plan, "inventory", "hosts", "--inventory", &err));
    assert_ok(plan_resolve(&plan, &err));
    assert_false(plan.local);
    assert_int_equal(plan.node_count, 2);
    assert_string_equal(node_address(&plan.nodes[0]), "10.0.0.1");
    assert_int_equal(node_port(&plan.nodes[0]), 2222);
    assert_string_equal(plan.nodes[0].key_files[1], "b");
    assert_null(plan.nodes[0].key_files[2]);
    assert_string_equal(plan.nodes[1].jump, "gate:7");
    assert_string_equal(node_peer_address(&plan.nodes[1]), "10.1.0.2");
    /* plan.json needs no inventory. */
    struct buf json = BUF_INIT;
    json_print(plan.values, JSON_PRETTY, &json);
    assert_null(strstr(json.data, "inventory"));
    assert_ok(file_write("plan.json", json.data, json.length, &err));
    plan_init(&again);
    assert_ok(plan_read_file(&again, "plan.json", &err));
    assert_ok(plan_resolve(&again, &err));
    assert_int_equal(again.node_count, 2);
    assert_string_equal(again.nodes[1].jump, "gate:7");
    plan_free(&again);
    plan_free(&plan);
    buf_free(&json);
}

static void nodes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *plan, *message;
    } cases[] = {
        {"{\"nodes\": [{\"name\": \"a\", \"adress\": \"b\"}]}",
         "no 'adress'; did you mean 'address'"},
        {"{\"nodes\": [{\"user\": \"a\"}]}", "node 1: it has neither name nor address"},
        {"{\"nodes\": [{\"name\": \"a\", \"port\": 70000}]}", "node 'a': port must be 1 to 65535"},
        {"{\"nodes\": [{\"name\": \"a\"}, {\"name\": \"a\"}]}", "nodes: a is named twice"},
        {"{\"nodes\": [{\"name\": \"a b\"}]}", "may hold no blanks"},
        {"{\"nodes\": [{\"name\": \"a\", \"peer-address\": \"b\"}]}", "'b' is no IP address"},
        {"{\"nodes\": [{\"name\": \"a\", \"jump\": \"b,c\"}]}", "one jump host is possible"},
        {"{\"nodes\": [{\"name\": \"a\", \"user\": {}}]}", "user must be a text"},
        {"{\"nodes\": \"a,a\"}", "nodes: a is named twice"},
        {"{\"nodes\": \"a\", \"jump\": \"x:y\"}", "jump 'x:y': write it as"},
        {"{\"local\": 3, \"jump\": \"x\"}", "a local cluster is reached without one"},
        {"{\"inventory-hosts\": \"x\"}", "inventory-hosts: it chooses from an inventory"},
        {"{\"inventory\": \"nowhere.ini\"}", "nowhere.ini"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct plan plan;
        struct err err = ERR_INIT;
        plan_init(&plan);
        assert_ok(file_write("plan.json", cases[i].plan, strlen(cases[i].plan), &err));
        assert_ok(plan_read_file(&plan, "plan.json", &err));
        if (plan_resolve(&plan, &err) != ERR_CONFIG)
            fail_msg("not refused: %s (%s)", cases[i].plan, err.message);
        assert_contains(err.message, cases[i].message);
        plan_free(&plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ini_files_are_read_as_ansible_does),
        cmocka_unit_test(bad_ini_files_are_refused_with_their_line),
        cmocka_unit_test(yaml_files_are_read_as_ansible_does),
        cmocka_unit_test(bad_yaml_files_are_refused_with_their_line),
        cmocka_unit_test(terraform_outputs_are_nodes),
        cmocka_unit_test(formats_are_told_by_the_name),
        cmocka_unit_test(a_plan_has_the_nodes_of_an_inventory),
        cmocka_unit_test(nodes_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
