/* A transport without a network: commands run under the local `sh`. What it is told to do badly, it
 * does: refuse, never answer, cut connections, allow few channels. One per process; all functions
 * may be called from any thread. */
#ifndef ORDEAL_TESTS_FAKE_REMOTE_H
#define ORDEAL_TESTS_FAKE_REMOTE_H

#include <stdint.h>

#include "harness/remote/remote.h"

enum { FAKE_NODES_MAX = 32 };

extern const struct remote fake_remote;

/* Forgets all instructions and counts. */
void fake_reset(void);
/* The node's next `count` connections fail; `may_retry` as a refused one, else as a refused key. */
void fake_refuse(uint32_t node, int count, bool may_retry);
/* Connections of the node hang until their time is over. */
void fake_hang(uint32_t node, bool hang);
/* Ends the node's session as a lost connection would: commands see the end of their input. */
void fake_cut(uint32_t node);
/* The node's next session is lost before the command asked for has been sent. */
void fake_cut_before_sending(uint32_t node);
/* sshd's MaxSessions; 0: no limit. */
void fake_allow_channels(uint32_t node, int max);
/* How many sessions were opened to the node, and the most channels that were open at once. */
int fake_connections(uint32_t node);
int fake_channels_seen(uint32_t node);

#endif
