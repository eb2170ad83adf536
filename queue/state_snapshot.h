/* What the writer and the reader of snapshots agree on: for queue/state*.c only. */
#ifndef ORDEAL_QUEUE_STATE_SNAPSHOT_H
#define ORDEAL_QUEUE_STATE_SNAPSHOT_H

#include "queue/state_inner.h"

#define SNAPSHOT_MAGIC "OQSTATE\n"
#define SNAPSHOT_MAGIC_BYTES 8
#define SNAPSHOT_VERSION 1
#define SNAPSHOT_BLOCK_HEAD_BYTES 8
#define SNAPSHOT_BLOCK_BYTES 65536u /* payload at most */

#endif
