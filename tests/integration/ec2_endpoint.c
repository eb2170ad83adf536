/* ec2_endpoint NODES COMMAND: an EC2 endpoint on loopback (fake_ec2.h) whose instances are nodes of
 * a local cluster, for end-to-end tests: prints its port, and serves until it is killed. COMMAND
 * gets the words `stop n1` or `start n1` behind it when an instance goes or comes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/fake_ec2.h"

static void on_state(void *state, const char *name, const char *now)
{
    static const char *const verbs[][2] = {
        {"stopped", "stop"}, {"terminated", "stop"}, {"running", "start"}};
    const char *command = state;
    char text[512];
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(now, verbs[i][0]) == 0) {
            snprintf(text, sizeof text, "%s %s %s", command, verbs[i][1], name);
            if (system(text) != 0)
                fprintf(stderr, "ec2_endpoint: this failed: %s\n", text);
        }
    if (strcmp(now, "rebooting") == 0) {
        on_state(state, name, "stopped");
        on_state(state, name, "running");
    }
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: ec2_endpoint NODES COMMAND\n");
        return 2;
    }
    struct fake_ec2 *fake = fake_ec2_start((size_t)atoi(argv[1]));
    fake_ec2_tell(fake, on_state, argv[2]);
    printf("%u\n", (unsigned)fake_ec2_port(fake));
    fflush(stdout);
    for (;;)
        pause();
}
