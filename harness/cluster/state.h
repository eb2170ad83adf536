/* What a cluster's keeper tells the world about it: the file `state` in the state directory,
 * replaced whole at each change. It is lines of fields (harness/base/line.h), as what is said over
 * the control socket; `ordeal local status --json` is for other programs. */
#ifndef ORDEAL_CLUSTER_STATE_H
#define ORDEAL_CLUSTER_STATE_H

#include <stdint.h>

#include "harness/base/buf.h"
#include "harness/cluster/place.h"
#include "harness/cluster/process.h"

struct state {
    char boot[40]; /* of the kernel that ran it: a start time means nothing after a reboot */
    int node_count;
    bool ready; /* every node has answered once */
    bool ephemeral, ipv6;
    int64_t since_wall_ns;
    struct process_id keeper;
    struct process_id nodes[CLUSTER_NODES_MAX]; /* pid 0: stopped */
};

void state_init(struct state *state, int node_count);
void state_format(const struct state *state, struct buf *text);
/* ERR_PARSE says what is wrong; *state is then unchanged. */
enum err_code state_parse(const char *text, size_t length, struct state *state,
                          struct err *err) MUST_CHECK;
enum err_code state_write(const struct place *place, const struct state *state,
                          struct err *err) MUST_CHECK;
enum err_code state_read(const struct place *place, struct state *state,
                         struct err *err) MUST_CHECK;
/* Whether its keeper lives. */
bool state_alive(const struct state *state);

#endif
