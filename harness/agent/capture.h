/* `ordeal-agent capture`: keeps the newest packets of a tcpdump in files that have no names. */
#ifndef ORDEAL_AGENT_CAPTURE_H
#define ORDEAL_AGENT_CAPTURE_H

#include <stdint.h>

/* Runs the command, whose output is a capture in tcpdump's format, and keeps at most `bytes_max` of
 * it, the newest packets. From the first bytes on they are what CAPTURE_FD is open on; told to end
 * by SIGUSR1 it ends the command, and then CAPTURE_DONE_FD is open on all that is kept, in order,
 * until this process is killed. So whatever ends it takes everything with it. Returns an exit
 * status. */
enum { CAPTURE_FD = 10, CAPTURE_OTHER_FD = 11, CAPTURE_DONE_FD = 12 };
int agentd_command_capture(int64_t bytes_max, char *const argv[]);

#endif
