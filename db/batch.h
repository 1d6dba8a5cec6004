// SPDX-License-Identifier: Apache-2.0
// What travels between machines: batches. A batch is the set of rows (by content id) that one writer sends together, its place in that
// writer's sequence (1, 2, 3, ...) and the writer's signature over both. On the wire it is a small dump with its one batch line, zstd
// outside; the same rows and batch give the same text, whichever file they come from.
//
// A receiver opens a blob (pure, any thread, the expensive part), then puts it into its store (the thread of the store; may be one of many in a
// group). What a sender does: ask for the receiver's have; fetch its own batches that it lacks (it may have sent from another database);
// make; send what is lacking. Putting twice is putting once. What comes from a writer whom the store does not trust is set aside in `quarantine`
// as the blob it is: no query, build, dump or merge reads it, until a ruling admits the writer.
#ifndef HONE_DB_BATCH_H
#define HONE_DB_BATCH_H

#include "base/file.h"
#include "db/key.h"
#include "db/store.h"

#define HONE_BATCH_ROWS_MAX 4096                       // ids in a batch
#define HONE_BATCH_BYTES_MAX ((size_t)16 << 20)        // of the blob
#define HONE_BATCH_TEXT_MAX ((size_t)64 << 20)         // of what is inside, and at most 200 times the blob
#define HONE_QUARANTINE_BYTES_MAX ((size_t)256 << 20)  // of all that a store sets aside

// ---- sending

// Names, in as many new batches of at most rows_max rows as needed (0: the most allowed), all rows of this writer in the store that no
// batch names yet: its runs, their measurements, its rulings, and the coverage, networks, plans, calibrations and artifacts that nobody has sent.
// One transaction; *made is how many batches. HONE_USAGE when the store knows a batch of this writer that it lacks the predecessor of (pull first).
// Rows of the writer "local" (measured before there was a key) are not sent: they travel by dump and merge only.
hone_status hone_batch_make(hone_store *store, const hone_key *key, size_t rows_max, int64_t *made);
// Forgets the writer's batches from a sequence on, when the other side had taken another batch under that number: their rows stay, and
// are named anew after what the other side has was fetched.
hone_status hone_batch_unmake(hone_store *store, const hone_key *key, int64_t first);
// The blob of a batch that the store has. HONE_MISS when it has none of that sequence. Caller frees *blob with hone_free.
hone_status hone_batch_pack(hone_store *store, const char *writer, int64_t sequence, void **blob, size_t *size_bytes);

// ---- receiving

typedef struct hone_batch hone_batch;                  // an opened blob

// Unpacks and verifies: the size, the dump's digest, every row against its id, the signature, that the rows are exactly those that the batch names
// (and the runs that these name, all by the batch's writer), that nothing else stands in it. Touches no store; any thread.
// HONE_DAMAGED, with a sentence for the sender, for whatever is wrong. The blob is copied.
hone_status hone_batch_open(const void *blob, size_t size_bytes, hone_batch **batch);
void hone_batch_close(hone_batch *batch);              // NULL is legal
const char *hone_batch_writer(const hone_batch *batch);     // borrowed: the public key in hex
int64_t hone_batch_sequence(const hone_batch *batch);
size_t hone_batch_rows(const hone_batch *batch);
void hone_batch_id(const hone_batch *batch, hone_id *id);   // the content id of the batch: its name as a segment
bool hone_batch_rules(const hone_batch *batch);        // it holds rulings
hone_piece hone_batch_blob(const hone_batch *batch);   // borrowed, as it came

typedef enum hone_trust {
    HONE_TRUST_UNKNOWN,        // to quarantine
    HONE_TRUST_SUSPENDED,      // to quarantine, and what it sent before does not count
    HONE_TRUST_MEASURE,        // its rows count
    HONE_TRUST_PROMOTE         // its rulings count as well
} hone_trust;

const char *hone_trust_name(hone_trust trust);         // "unknown", "suspended", "measure", "promote"
// What the store's rulings say of a writer (rulings: db/ruling.h). The store's owner has HONE_TRUST_PROMOTE.
hone_status hone_trust_of(hone_store *store, const char *writer, hone_trust *trust);

typedef enum hone_batch_fate { HONE_BATCH_ADDED, HONE_BATCH_KNOWN, HONE_BATCH_QUARANTINED } hone_batch_fate;

// Puts the batch into the store: its rows and its batch row when the writer is trusted, else the blob into quarantine. `trust` is
// the caller's decision (a hub's table of tokens) and can only lower what the store's rulings say; NULL: the rulings alone. *added
// counts new rows (either pointer may be NULL). One transaction, or part of the caller's group (hone_store_begin_group). Fails for the batch's
// sake only with HONE_USAGE, before anything was written, so that a group goes on: the store has another batch of this writer and
// sequence (two machines use one key). HONE_AGAIN when the quarantine is full.
hone_status hone_batch_put(hone_store *store, const hone_batch *batch, const hone_trust *trust, hone_batch_fate *fate, int64_t *added);

// What hone_batch_put would make of it, but for a full quarantine: nothing is written.
hone_status hone_batch_judge(hone_store *store, const hone_batch *batch, const hone_trust *trust, hone_batch_fate *fate);

// ---- who has what

typedef struct hone_span {     // batches first..last of a writer, all there
    char writer[HONE_ID_TEXT];
    int64_t first, last;
    hone_id digest;            // of their content ids in order: equal spans with other digests are the work of two machines with one key
} hone_span;

typedef struct hone_have {     // sorted by writer and first; no two spans touch
    hone_span *items;          // owned
    size_t count, capacity;
} hone_have;

void hone_have_clear(hone_have *have);
// What the store has; with `set_aside`, what lies in its quarantine counts as well (a receiver need not be sent it again).
hone_status hone_have_find(hone_store *store, bool set_aside, hone_have *have);
// The text for the wire: "WRITER FIRST LAST DIGEST\n" for each span; parse is the inverse and refuses anything else with HONE_DAMAGED.
void hone_have_print(const hone_have *have, hone_text *text);
hone_status hone_have_parse(const char *text, size_t size_bytes, hone_have *have);
// Calls back, in order of writer and sequence, for each batch that the store has and `theirs` lacks. HONE_USAGE, before any call, when a span of theirs
// has another digest than the same batches here. `writer` NULL: of all writers.
hone_status hone_batch_each_lacking(hone_store *store, const hone_have *theirs, const char *writer,
                                    hone_status (*each)(void *user, const char *writer, int64_t sequence), void *user);

#endif
