/* What the faults of disks share: where the data is, and the one disk that it gets. */
#ifndef ORDEAL_NEMESES_DISKS_H
#define ORDEAL_NEMESES_DISKS_H

#include "harness/nemesis.h"

/* The system's directory of data; it has said so. */
const char *disks_data_dir(const struct test *test);
/* ERR_CONFIG for a system that does not say where its data is. */
enum err_code disks_check(const struct test *test, struct err *err);
/* Gives the data of every node a disk, once a run however many nemeses want one. `nemesis` is the
 * one that asks; its option file-system says which. ERR_CONFIG when another of the plan wants
 * another. */
enum err_code disks_give(struct test *test, const char *nemesis, struct err *err);

#endif
