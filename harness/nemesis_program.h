/* A nemesis that is a program of its own, spoken to by lines: see docs/extending.md. */
#ifndef ORDEAL_NEMESIS_PROGRAM_H
#define ORDEAL_NEMESIS_PROGRAM_H

#include "harness/nemesis.h"

/* Starts the program, which must say hello. NULL: `err` says what is wrong. It runs until it ends
 * by itself or ordeal does. */
const struct nemesis *nemesis_program(const char *path, const char *name, struct err *err);

#endif
