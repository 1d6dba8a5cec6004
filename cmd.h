// SPDX-License-Identifier: Apache-2.0
// The verbs. Each cmd_NAME.c defines one entry; argv[0] is the verb. The answer is the process's exit code.
#ifndef HONE_CMD_H
#define HONE_CMD_H

#include <signal.h>
#include <stdbool.h>

#include "base/status.h"
#include "base/text.h"
#include "db/key.h"
#include "db/store.h"

struct hone_graph;

int hone_cmd_build(int argc, char **argv);
int hone_cmd_conform(int argc, char **argv);
int hone_cmd_db(int argc, char **argv);
int hone_cmd_devices(int argc, char **argv);
int hone_cmd_doctor(int argc, char **argv);
int hone_cmd_hub(int argc, char **argv);
int hone_cmd_inspect(int argc, char **argv);
int hone_cmd_plan(int argc, char **argv);
int hone_cmd_problems(int argc, char **argv);
int hone_cmd_pull(int argc, char **argv);
int hone_cmd_push(int argc, char **argv);
int hone_cmd_rank(int argc, char **argv);
int hone_cmd_retime(int argc, char **argv);
int hone_cmd_run(int argc, char **argv);
int hone_cmd_sweep(int argc, char **argv);
int hone_cmd_tune(int argc, char **argv);
int hone_cmd_why(int argc, char **argv);
int hone_cmd_worker(int argc, char **argv);

int hone_cmd_fail(hone_status status);     // prints the sentence of this thread, returns the exit code
hone_status hone_cmd_print(hone_text *text);     // the whole text on stdout, with a newline behind it when it has none
extern volatile sig_atomic_t hone_cmd_stop;       // Ctrl-C or SIGTERM came
void hone_cmd_catch_signals(void);               // the first ends in order, the second at once

// Who measures signs when it sends (db/batch.h): the user's key, which becomes the owner of a database that has none. Where no key can be kept, as
// in a container without a home, the rows are nobody's ("local"): they go by dump and merge.
hone_status hone_cmd_find_writer(hone_store *store, hone_key *key);

// --device for what needs no device: "cpu", "cuda:0" (opened for its spelling), a full spelling, or a word that names exactly one device of
// the store. toolchain: the newest recorded for it, else that of the device here; "" when neither is known.
hone_status hone_cmd_find_target(hone_store *store, const char *word, char spelling[256], char toolchain[512]);
// Its two parts. What needs no database: a device here, or a full spelling; else *found is false. Then, with those answers, what the store knows.
hone_status hone_cmd_find_named(const char *word, char spelling[256], char toolchain[512], bool *found);
hone_status hone_cmd_find_recorded(hone_store *store, const char *word, bool found, char spelling[256], char toolchain[512]);
// The network of a file, simplified; shapes as --shapes gives them or NULL. What cannot be imported is listed on stderr.
hone_status hone_cmd_import(const char *path, const char *shapes, struct hone_graph **graph);
bool hone_cmd_int(const char *text, int64_t least, int64_t most, int64_t *value);      // the whole text is a number within the bounds
bool hone_cmd_real(const char *text, double least, double most, double *value);
bool hone_cmd_seconds(const char *text, double *seconds);                              // 90, 90s, 10m, 2h; more than 0
bool hone_cmd_is_network(const char *path);                                            // its name ends with .onnx
bool hone_cmd_bytes(const char *text, int64_t *bytes);                                 // 4096, 64K, 64M, 2G
const char *hone_cmd_network_name(const char *path, char name[256]);      // the file's name without folder and .onnx

#endif
