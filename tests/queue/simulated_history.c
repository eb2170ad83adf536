/* simulated_history DEFECT|none SEED: one run of a simulated cluster of five under figure 8 of the
 * Raft paper, with a defect of the core or with none; what its clients saw goes to the standard
 * output, as a history for `ordeal check`. For defects that need faults within milliseconds, which
 * no nemesis reaches in real time.
 *
 * Exit status: 0, the cluster was whole again and was drained; 1, it was not; 2, bad arguments. */
#define ORDEAL_QUEUE_DEFECTS

#include "queue/defect.c"
#include "queue/raft.c"
#include "queue/raft_election.c"
#include "queue/raft_membership.c"
#include "queue/raft_message.c"
#include "queue/raft_read.c"
#include "queue/raft_replication.c"
#include "queue/raft_snapshot.c"
#include "queue/raft_window.c"

#include "tests/queue/lib/raft_simulator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NODES = 5 };

int main(int count, char **arguments)
{
    char *end = NULL;
    uint64_t seed = count == 3 ? strtoull(arguments[2], &end, 10) : 0;
    enum defect defect = count == 3 ? queue_defect_find(arguments[1]) : DEFECT_COUNT;
    if (count != 3 || *end != '\0' || (defect == DEFECT_COUNT && strcmp(arguments[1], "none"))) {
        fprintf(stderr, "usage: simulated_history DEFECT|none SEED\n");
        return 2;
    }
    if (defect != DEFECT_COUNT) {
        queue_defect_set(defect, true);
    }
    struct simulation_options options = {.seed = 4 * seed + 3,
                                         .nodes = NODES,
                                         .outcomes_only = true,
                                         .figure8 = true,
                                         .history = stdout};
    struct simulation_result result;
    if (freopen("/dev/null", "w", stderr) == NULL) { /* assertions of the core, each a restart */
        return 1;
    }
    simulation_run(&options, NULL, 0, &result);
    if (result.failed) {
        fprintf(stdout, "; broken off: %s\n", result.message);
    }
    return result.failed;
}
