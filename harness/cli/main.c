/* Stands in for the program's entry until the commands are together. */
#include <stdio.h>
#include <string.h>

#include "harness/cli/cmd_local.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "local") == 0)
        return cmd_local(argc - 1, argv + 1);
    fprintf(stderr, "usage: ordeal local ...\n");
    return 254;
}
