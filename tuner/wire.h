// SPDX-License-Identifier: Apache-2.0
// What tuner and worker say to each other: lines of fields, a tab between, no other control characters. The first
// field is the number of the request that a line belongs to, the second a verb. Reading is strict: whatever does not
// fit is garbage, and garbage ends a worker. Nothing here waits longer than it was told to.
#ifndef HONE_TUNER_WIRE_H
#define HONE_TUNER_WIRE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "db/record.h"
#include "kernels/source.h"

#define HONE_WIRE_LINE_MAX ((size_t)1 << 20)
#define HONE_WIRE_FIELDS 16
#define HONE_BURST_MAX 1024            // samples of one answer
#define HONE_NEVER INT64_MAX           // a deadline: only what reads in a worker may use it

// ---- lines

typedef enum hone_wire_event {
    HONE_WIRE_LINE,
    HONE_WIRE_END,                     // the other side has closed, or is gone
    HONE_WIRE_LATE,                    // nothing until the deadline
    HONE_WIRE_GARBAGE,                 // too long, or bytes that no line has
    HONE_WIRE_STOPPED                  // *stop was set
} hone_wire_event;

typedef struct hone_wire_reader {      // starts zeroed but for fd
    int fd;
    char *data;
    size_t begin, end, capacity;
} hone_wire_reader;

// One line without its end, valid until the next read. deadline_ns as hone_clock_ns counts; stop may be NULL.
hone_wire_event hone_wire_read(hone_wire_reader *reader, int64_t deadline_ns, const volatile sig_atomic_t *stop, char **line);
void hone_wire_reader_clear(hone_wire_reader *reader);
// LINE when all was written.
hone_wire_event hone_wire_write(int fd, const char *data, size_t size, int64_t deadline_ns);

// ---- fields

typedef struct hone_wire_fields {
    int n;
    char *at[HONE_WIRE_FIELDS];
} hone_wire_fields;

bool hone_wire_split(char *line, hone_wire_fields *fields);          // in place; false: no fields, too many, control characters
bool hone_wire_int(const char *field, int64_t *value);
bool hone_wire_real(const char *field, double *value);
void hone_wire_put_words(hone_text *text, const char *words);        // control characters become blanks

// ---- what a worker is at: said as it begins, so that the right deadline runs and the time is counted where it went

#define HONE_PHASES 7

extern const char *const hone_phases[HONE_PHASES];    // the first is whatever comes before one is said
int hone_phase_find(const char *name);                // -1: none of them

// ---- the answer to a trial

typedef struct hone_answer {
    hone_verdict verdict;
    bool leaving;                      // the device is no longer usable in this worker, which ends
    double error;                      // -1: not verified
    int64_t workspace_bytes;
    int64_t registers;                 // -1 unknown
    double clock_mhz, temperature_c, power_w;      // -1 unknown
    char throttle[96];
    char artifact[HONE_ARTIFACT_KEY];
    char note[1024];
    int n;
    double samples_ns[HONE_BURST_MAX];
} hone_answer;

void hone_answer_init(hone_answer *answer);
void hone_answer_print(const hone_answer *answer, hone_text *text);  // its fields, tabs between, no line end
bool hone_answer_parse(const hone_wire_fields *fields, int first, hone_answer *answer);

#endif
