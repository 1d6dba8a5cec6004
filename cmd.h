// SPDX-License-Identifier: Apache-2.0
// The verbs. Each cmd_NAME.c defines one entry; argv[0] is the verb. The answer is the process's exit code.
#ifndef HONE_CMD_H
#define HONE_CMD_H

#include <stdbool.h>

#include "base/status.h"
#include "base/text.h"
#include "db/store.h"

int hone_cmd_build(int argc, char **argv);
int hone_cmd_conform(int argc, char **argv);
int hone_cmd_db(int argc, char **argv);
int hone_cmd_devices(int argc, char **argv);
int hone_cmd_doctor(int argc, char **argv);
int hone_cmd_inspect(int argc, char **argv);
int hone_cmd_plan(int argc, char **argv);
int hone_cmd_problems(int argc, char **argv);
int hone_cmd_run(int argc, char **argv);
int hone_cmd_tune(int argc, char **argv);
int hone_cmd_why(int argc, char **argv);
int hone_cmd_worker(int argc, char **argv);

int hone_cmd_fail(hone_status status);     // prints the sentence of this thread, returns the exit code
hone_status hone_cmd_print(hone_text *text);     // the whole text on stdout, with a newline behind it when it has none

#endif
