/* ordeal: the command line. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "harness/cli/cli.h"
#include "harness/run.h"

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"run", cmd_run, "run one test: cluster, clients, faults, verdict, reports"},
    {"check", cmd_check, "judge a recorded history"},
    {"report", cmd_report, "render a stored run again"},
    {"serve", cmd_serve, "show the runs of a store to a browser, live ones too"},
    {"convert", cmd_convert, "convert a history between formats"},
    {"local", cmd_local, "the cluster on this machine: up, down, status, ssh, exec"},
    {"nemesis", cmd_nemesis, "one fault by hand, until Ctrl-C"},
    {"heal", cmd_heal, "undo every fault on every node, also after a crash"},
    {"new", cmd_new, "write a system of your own to begin with"},
    {"list", cmd_list, "what there is: systems, workloads, nemeses, checkers, models, reports"},
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_help(FILE *out)
{
    fprintf(out, "ordeal puts a distributed system through a trial, and says whether it kept its "
                 "word.\n\nusage: ordeal COMMAND [OPTION..]\n\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
    fprintf(
        out,
        "\n`ordeal COMMAND --help` tells more. To begin, as root on any Linux machine:\n\n"
        "  ordeal run --local 5 --system etcd --workload register --nemesis "
        "partition,kill,pause\n\n"
        "Exit status: 0 valid, 1 invalid, 2 unknown, 254 bad arguments, 255 the harness failed.\n");
}

static int unknown_command(const char *name)
{
    const char *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        names[i] = commands[i].name;
    const char *near = text_nearest(name, names, COMMAND_COUNT);
    struct err err;
    err_set(&err, ERR_CONFIG, "there is no command '%s'%s%s%s (ordeal --help lists them)", name,
            near == NULL ? "" : "; did you mean '", near == NULL ? "" : near,
            near == NULL ? "" : "'?");
    return cli_fail(&err);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return EXIT_BAD_ARGUMENTS;
    }
    static char help[] = "--help";
    char *ask[] = {argc > 2 ? argv[2] : NULL, help, NULL};
    bool asks = strcmp(argv[1], "help") == 0 && argc == 3; /* `help run` is `run --help` */
    for (size_t i = 0; i < COMMAND_COUNT && asks; i++)
        if (strcmp(argv[2], commands[i].name) == 0)
            return commands[i].run(2, ask);
    if (asks)
        return unknown_command(argv[2]);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return EXIT_SUCCESS;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("ordeal %s\n", ORDEAL_VERSION);
        return EXIT_SUCCESS;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    return unknown_command(argv[1]);
}
