/* A test in progress as the etcd plug-ins see it: see etcd_fixture.h. */
#include "tests/lib/etcd_fixture.h"

#include <stdio.h>
#include <stdlib.h>

#include "workloads/systems/etcd.h"

static const char *const names[] = {"n1", "n2", "n3", "n4", "n5"};
static const char *const addresses[] = {"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4",
                                        "127.0.0.5"};

void etcd_fixture_init(struct etcd_fixture *fixture, uint32_t node_count, uint16_t client_port,
                       int64_t op_timeout_ns)
{
    *fixture = (struct etcd_fixture){
        .plan = {.options = {.values = json_object()},
                 .workload = workload_find("register"),
                 .op_timeout_ns = op_timeout_ns},
    };
    for (uint32_t i = 0; i < node_count; i++)
        fixture->nodes[i] = (struct node){.index = i, .name = names[i], .address = addresses[i]};
    history_init(&fixture->history);
    fixture->read_f = history_f(&fixture->history, "read");
    fixture->write_f = history_f(&fixture->history, "write");
    fixture->cas_f = history_f(&fixture->history, "cas");
    fixture->test = (struct test){.plan = &fixture->plan,
                                  .nodes = fixture->nodes,
                                  .node_count = node_count,
                                  .history = &fixture->history};
    char port[16];
    snprintf(port, sizeof port, "%u", (unsigned)client_port);
    etcd_fixture_set(fixture, "etcd.client-port", port);
    option_defaults(&fixture->plan.options, "etcd", etcd_options);
}

void etcd_fixture_set(struct etcd_fixture *fixture, const char *option, const char *value)
{
    json_set_text(fixture->plan.options.values, option, value);
}

void etcd_fixture_free(struct etcd_fixture *fixture)
{
    history_free(&fixture->history);
    json_free(fixture->plan.options.values);
}

void *etcd_fixture_open(struct etcd_fixture *fixture, uint32_t node)
{
    struct err err = ERR_INIT;
    void *state = calloc(1, etcd_register_client.state_size);
    if (state == NULL || etcd_register_client.open(state, &fixture->test, node, &err) != ERR_NONE) {
        fprintf(stderr, "etcd client: %s\n", err.message);
        abort();
    }
    return state;
}

void etcd_fixture_close(void *state)
{
    etcd_register_client.close(state);
    free(state);
}

struct op etcd_fixture_do(struct etcd_fixture *fixture, void *state, uint16_t f, struct value value,
                          struct arena *scratch)
{
    struct op op = {.type = OP_INVOKE, .f = f, .value = value};
    etcd_register_client.invoke(state, &fixture->test, &op, scratch);
    return op;
}
