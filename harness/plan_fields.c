/* The fields of a plan, for flags, plan files and help texts alike. */
#include "harness/plan.h"

const struct plan_field plan_fields[] = {
    {"system", OPTION_TEXT, "etcd", "NAME", "What", "the system under test (ordeal list systems)"},
    {"workload", OPTION_TEXT, "register", "NAME", "What",
     "what clients do (ordeal list workloads)"},
    {"nemesis", OPTION_TEXT, NULL, "N=W,N..", "What",
     "what breaks, or none, with weights where not all are alike; default: partition,kill,pause "
     "where the system has daemons"},
    {"name", OPTION_TEXT, NULL, "NAME", "What", "name of the test; default: <system>-<workload>"},
    {"set", OPTION_TEXT, NULL, "OWNER.OPTION=VALUE", "What",
     "an option of a system, workload, nemesis or checker; may be repeated (ordeal list NAME)"},

    {"nodes", OPTION_TEXT, NULL, "A,B..", "Where",
     "machines to use, each [name=][user@]address[:port]; default: a local cluster"},
    {"inventory", OPTION_TEXT, NULL, "FILE", "Where",
     "or those of a file: Ansible's inventory (INI, YAML), terraform output -json "
     "(ordeal-inventory(5))"},
    {"inventory-hosts", OPTION_TEXT, NULL, "H,H..", "Where",
     "of an inventory: only these groups, hosts and patterns, without !those; or the output's "
     "name"},
    {"jump", OPTION_TEXT, NULL, "[USER@]HOST", "Where",
     "a jump host through which SSH reaches nodes that name none themselves"},
    {"local", OPTION_INT, NULL, "N", "Where", "use a local cluster of N nodes (default 5)"},
    {"cluster", OPTION_TEXT, "default", "NAME", "Where", "name of the local cluster"},
    {"ssh-user", OPTION_TEXT, NULL, "USER", "Where", "who logs in where a node names nobody"},
    {"ssh-key", OPTION_TEXT, NULL, "FILE,FILE..", "Where", "private keys to try"},
    {"ssh-password-file", OPTION_TEXT, NULL, "FILE", "Where",
     "a file that holds the password, tried last"},
    {"known-hosts", OPTION_TEXT, NULL, "FILE", "Where", "host keys; default: ~/.ssh/known_hosts"},
    {"accept-new-host-keys", OPTION_BOOL, "false", NULL, "Where",
     "add unknown host keys to that file instead of refusing them"},
    {"connect-timeout", OPTION_DURATION, "10s", "TIME", "Where", "for logging in to a node"},
    {"ready-timeout", OPTION_DURATION, "60s", "TIME", "Where", "for the system to serve"},
    {"no-install", OPTION_BOOL, "false", NULL, "Where",
     "install nothing and put no programs on nodes: it is all there already"},
    {"leave-running", OPTION_BOOL, "false", NULL, "Where",
     "in the end leave the system and the local cluster as they are, healed, and say how to get at "
     "them"},

    {"time-limit", OPTION_DURATION, "60s", "TIME", "How much", "how long clients ask"},
    {"rate", OPTION_REAL, "500", "N", "How much",
     "operations a second over all workers; 0: as fast as they can"},
    {"concurrency", OPTION_TEXT, "2n", "N|Nn", "How much", "workers; 2n is two for every node"},
    {"seed", OPTION_INT, NULL, "N", "How much", "repeats a schedule; default: a fresh one"},
    {"op-timeout", OPTION_DURATION, "1s", "TIME", "How much",
     "after which an operation is indeterminate"},

    {"nemesis-interval", OPTION_TEXT, "10s", "TIME[..TIME]", "Faults",
     "a fault about this often; 10s..2s: more and more often"},
    {"nemesis-duration", OPTION_TEXT, "5s", "TIME[..TIME]", "Faults",
     "how long each lasts, about; 1s..9s: longer and longer"},
    {"nemesis-overlap", OPTION_TEXT, "1", "N[..N]", "Faults",
     "up to so many in force at once, each at that pace, where they do not spoil each other"},
    {"nemesis-order", OPTION_CHOICE, NULL, "rounds|random", "Faults",
     "each once a round, or any by its weight; default: random where there are weights"},
    {"schedule", OPTION_TEXT, NULL, "FILE", "Faults",
     "instead of --nemesis: steps in JSON, at times or upon events (ordeal-schedule(5))"},
    {"replay", OPTION_TEXT, NULL, "FILE", "Faults",
     "instead of --nemesis: the same faults on the same nodes at the same times as in a "
     "schedule.jsonl"},

    {"checkers", OPTION_TEXT, NULL, "C,C..", "Checking", "judge by these; default: the workload's"},
    {"promise", OPTION_TEXT, NULL, "P,P..", "Checking",
     "what the queue is to keep, for the checker delivery; default: what the system declares"},
    {"keyed", OPTION_CHOICE, "guess", "guess|yes|no", "Checking", "whether values are [key value]"},
    {"check-time", OPTION_DURATION, "60s", "TIME", "Checking", "budget of each checker"},
    {"check-memory", OPTION_INT, "2048", "MIB", "Checking", "budget of each checker"},
    {"stop-on-violation", OPTION_BOOL, "false", NULL, "Checking",
     "judge by `linearizable` or `transactions` while the run goes on, and end it at the first "
     "certain violation"},

    {"store", OPTION_TEXT, "store", "DIR", "Output", "where runs are kept"},
    {"pcap", OPTION_BOOL, "false", NULL, "Output",
     "capture every node's packets with its tcpdump, into nodes/NODE/capture.pcap"},
    {"pcap-filter", OPTION_TEXT, NULL, "EXPRESSION", "Output",
     "only these, as tcpdump says it, such as 'port 2380'"},
    {"pcap-size", OPTION_INT, "64", "MIB", "Output",
     "at most so much of a node; the newest packets are kept"},
    {"log-files", OPTION_TEXT, NULL, "GLOB,GLOB..", "Output",
     "fetch these from every node, too: full paths, with a shell's patterns"},
    {.name = NULL},
};
