// SPDX-License-Identifier: Apache-2.0
// Status codes and the error sentence.
//
// Every fallible function returns a hone_status and puts results into its last parameters. The sentence
// is made where the fact is known, by hone_fail; callers may put context before it with hone_fail_in.
// The line is thread-local and valid until the thread's next hone_fail. Nothing here prints or exits.
#ifndef HONE_BASE_STATUS_H
#define HONE_BASE_STATUS_H

typedef enum hone_status {
    HONE_OK = 0,
    HONE_INTERNAL,      // a bug or an exhausted resource; exit 1
    HONE_USAGE,         // the caller asked for something that makes no sense; exit 2
    HONE_MODEL,         // a network cannot be imported; exit 3
    HONE_NUMERIC,       // a result is off its reference; exit 4
    HONE_MISS,          // the database lacks entries; exit 5
    HONE_DAMAGED,       // a database or plan is damaged or too new; exit 7
    HONE_NO_DEVICE,     // no usable device; exit 8
    HONE_AGAIN,         // busy, full or locked: try again later; exit 75
    HONE_NO_MEMORY,     // an allocation failed; exit 1
    HONE_IO,            // a file cannot be read or written; exit 1
    HONE_DECLINED       // not offered for this input: a normal answer of a source or rule; exit 1
} hone_status;

// Records code's sentence for this thread and returns code, so that callers write `return hone_fail(...)`.
hone_status hone_fail(hone_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Puts "context: " before the sentence of this thread and returns code.
hone_status hone_fail_in(hone_status code, const char *format, ...) __attribute__((format(printf, 2, 3)));

// The sentence of this thread's last failure, "" if none. Borrowed.
const char *hone_error_text(void);

// The process exit code that stands for a status.
int hone_status_exit_code(hone_status code);

// Stops the process with file and line when an invariant is broken. Always on.
#define HONE_ASSERT(condition) ((condition) ? (void)0 : hone_assert_failed(#condition, __FILE__, __LINE__))
_Noreturn void hone_assert_failed(const char *condition, const char *file, int line);

// `HONE_TRY(f(x))` inside a function with a local `hone_status status` and a label `out`.
#define HONE_TRY(call) do { status = (call); if (status != HONE_OK) goto out; } while (0)

#endif
