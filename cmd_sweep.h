// SPDX-License-Identifier: Apache-2.0
// The verbs of `hone sweep`, one file each.
#ifndef HONE_CMD_SWEEP_H
#define HONE_CMD_SWEEP_H

#include "cmd.h"
#include "cmd_options.h"
#include "tuner/sweep.h"

enum { HONE_EXIT_NEVER = 42 };         // `sweep run`: the same again would fail the same way; a scheduler gives this shard up

int hone_cmd_sweep_plan(int argc, char **argv);
int hone_cmd_sweep_run(int argc, char **argv);
int hone_cmd_sweep_status(int argc, char **argv);
int hone_cmd_sweep_script(int argc, char **argv);

#endif
