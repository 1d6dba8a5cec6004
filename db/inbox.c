// SPDX-License-Identifier: Apache-2.0
#include "db/inbox_priv.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/lock.h"

static const char magic[8] = "hone-in1";

enum { FOLDER_TEXT = PATH_MAX - 32 /* leaves room for the name of a segment */, HEADS_MAX = 100 };

typedef struct group_head {
    char magic[sizeof magic];
    uint64_t size_bytes;               // of what is behind the head
    hone_id digest;
} group_head;

typedef struct batch_head {
    uint64_t size_bytes;
    hone_id id;
} batch_head;

struct hone_inbox {
    char *folder;
    int lock, directory;               // -1 none
    pthread_mutex_t mutex;             // of the next two
    int64_t number;                    // of the segment that is appended to
    int file;                          // -1: it is made when something is appended
    atomic_llong bytes;
};

static hone_status fail_errno(const char *action, const char *path)
{
    int code = errno;
    return hone_fail(code == ENOSPC || code == EDQUOT ? HONE_AGAIN : HONE_IO, "cannot %s %s: %s", action, path, strerror(code));
}

static void print_folder(const char *db, char folder[FOLDER_TEXT])
{
    snprintf(folder, FOLDER_TEXT, "%s-inbox", db);
}

// ---- segments

typedef struct segments {
    const char *folder;
    int64_t below;                     // of this number and above none
    hone_status (*each)(void *user, const char *path);
    void *user;
} segments;

static hone_status visit(void *user, const char *name)
{
    const segments *of = user;
    char path[PATH_MAX], *end;
    int64_t number = strtoll(name, &end, 10);
    if (*end || number < 1 || number >= of->below) return HONE_OK;
    snprintf(path, sizeof path, "%s/%s", of->folder, name);
    return of->each(of->user, path);
}

static hone_status each_segment(const char *folder, int64_t below, hone_status (*each)(void *user, const char *path), void *user)
{
    segments of = {folder, below, each, user};
    return hone_path_exists(folder) ? hone_folder_each(folder, visit, &of) : HONE_OK;
}

static hone_status remove_segment(void *user, const char *path)
{
    (void)user;
    return unlink(path) && errno != ENOENT ? fail_errno("remove", path) : HONE_OK;
}

typedef struct sum {
    int64_t last, bytes;
} sum;

static hone_status add_segment(void *user, const char *path)
{
    sum *to = user;
    struct stat facts;
    int64_t number = strtoll(strrchr(path, '/') + 1, NULL, 10);
    if (number > to->last) to->last = number;
    if (!stat(path, &facts)) to->bytes += facts.st_size;
    return HONE_OK;
}

bool hone_inbox_holds(const char *db)
{
    char folder[FOLDER_TEXT];
    sum found = {0};
    print_folder(db, folder);
    return each_segment(folder, INT64_MAX, add_segment, &found) == HONE_OK && found.bytes;
}

// ---- folding

// The end of the group that begins here, NULL when there is no whole one.
static const uint8_t *find_end(const uint8_t *at, const uint8_t *end)
{
    group_head head;
    hone_id digest;
    if ((size_t)(end - at) < sizeof head) return NULL;
    memcpy(&head, at, sizeof head);
    at += sizeof head;
    uint64_t size_bytes = le64toh(head.size_bytes);
    if (memcmp(head.magic, magic, sizeof magic) || size_bytes > (uint64_t)(end - at)) return NULL;
    hone_hash_once(at, (size_t)size_bytes, &digest);
    return hone_id_equal(&digest, &head.digest) ? at + size_bytes : NULL;
}

// What is no group is the rest of an append that never ended, and was never acknowledged: NULL. Unless later ones have been appended behind it. What holds
// very many heads of none was made to be looked through for hours.
static const uint8_t *find_next(const uint8_t *at, const uint8_t *end)
{
    for (int tries = 0; tries < HEADS_MAX; tries++) {
        at = at < end ? memmem(at + 1, (size_t)(end - at - 1), magic, sizeof magic) : NULL;
        if (!at || find_end(at, end)) return at;
    }
    return end;
}

typedef struct folding {
    hone_store *store;
    bool examines;                     // what lies there, as if it had come from elsewhere: it may have
    int64_t added;
    char damaged[PATH_MAX];            // the first segment that is, "" none
    size_t damaged_at;
} folding;

static hone_status examine(const void *blob, size_t size_bytes)
{
    hone_batch *batch;
    hone_status status = hone_batch_open(blob, size_bytes, &batch);
    if (status == HONE_OK) hone_batch_close(batch);
    return status;
}

// Its fate was said when it was acknowledged. What has become known since, of its writer or of another batch under its number, changes nothing: as if it
// had been put then.
static hone_status put_batch(folding *to, const hone_id *id, const void *blob, size_t size_bytes)
{
    int64_t added = 0;
    bool put;
    hone_status status = hone_batch_find(to->store, id, &put);
    if (status == HONE_OK && !put && to->examines) status = examine(blob, size_bytes);
    if (status == HONE_OK && !put) status = hone_batch_put_trusted(to->store, blob, size_bytes, &added);
    to->added += added;
    return status;
}

static hone_status put_group(folding *to, const uint8_t *at, const uint8_t *end)
{
    batch_head head;
    hone_status status = HONE_OK;
    for (; status == HONE_OK && (size_t)(end - at) >= sizeof head; at += le64toh(head.size_bytes)) {
        memcpy(&head, at, sizeof head);
        at += sizeof head;
        if (le64toh(head.size_bytes) > (uint64_t)(end - at)) return hone_fail(HONE_DAMAGED, "a batch of the inbox is longer than its group");
        status = put_batch(to, &head.id, at, (size_t)le64toh(head.size_bytes));
    }
    return status;
}

static hone_status put_groups(folding *to, const char *path, const hone_map *map)
{
    const uint8_t *end = map->data + map->size_bytes, *next;
    hone_status status = HONE_OK;
    for (const uint8_t *at = map->data; at && at < end && status == HONE_OK; at = next) {
        next = find_end(at, end);
        if (next) {
            status = put_group(to, at + sizeof(group_head), next);
        } else if ((next = find_next(at, end)) && !*to->damaged) {
            snprintf(to->damaged, sizeof to->damaged, "%s", path);
            to->damaged_at = (size_t)(at - map->data);
        }
    }
    return status;
}

static hone_status put_segment(void *user, const char *path)
{
    hone_map map;
    hone_status status = hone_map_open(path, &map);
    if (status != HONE_OK) return hone_path_exists(path) ? status : HONE_OK;      // a living hub has folded it
    status = put_groups(user, path, &map);
    hone_map_close(&map);
    return status;
}

static hone_status fold(const char *folder, int64_t below, folding *to)
{
    hone_status status = hone_store_begin(to->store);
    if (status == HONE_OK) status = hone_store_end(to->store, each_segment(folder, below, put_segment, to));
    if (status != HONE_OK || !*to->damaged) return status;
    return hone_fail(HONE_DAMAGED, "%s is damaged at byte %zu: batches that were acknowledged are lost there, all others are in the database. Move the file "
                     "away to go on, and push again from where they came (hone push sends what a hub lacks)", to->damaged, to->damaged_at);
}

// The segment that is appended to ends here. *bytes: of what was appended up to now.
static int64_t turn(hone_inbox *inbox, int64_t *bytes)
{
    pthread_mutex_lock(&inbox->mutex);
    *bytes = atomic_load(&inbox->bytes);
    if (inbox->file >= 0) {
        close(inbox->file);
        inbox->file = -1;
        inbox->number++;
    }
    int64_t below = inbox->number;
    pthread_mutex_unlock(&inbox->mutex);
    return below;
}

hone_status hone_inbox_fold(hone_inbox *inbox, hone_store *store, int64_t *added)
{
    int64_t bytes, below = turn(inbox, &bytes);
    folding to = {.store = store};
    hone_status status = bytes ? fold(inbox->folder, below, &to) : HONE_OK;
    *added = to.added;
    if (status == HONE_OK && bytes) status = each_segment(inbox->folder, below, remove_segment, NULL);
    if (status == HONE_OK) atomic_fetch_sub(&inbox->bytes, bytes);
    return status;
}

// ---- appending

static hone_status write_all(hone_inbox *inbox, const void *data, size_t size_bytes)
{
    for (const char *at = data; size_bytes;) {
        ssize_t wrote = write(inbox->file, at, size_bytes);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return fail_errno("write to", inbox->folder);
        at += wrote;
        size_bytes -= (size_t)wrote;
    }
    return HONE_OK;
}

static hone_status open_segment(hone_inbox *inbox)
{
    char path[PATH_MAX];
    if (inbox->file >= 0) return HONE_OK;
    snprintf(path, sizeof path, "%s/%" PRId64, inbox->folder, inbox->number);
    inbox->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    return inbox->file < 0 || fsync(inbox->directory) ? fail_errno("make", path) : HONE_OK;
}

static batch_head head_of(const hone_batch *batch)
{
    batch_head head = {.size_bytes = htole64(hone_batch_blob(batch).size_bytes)};
    hone_batch_id(batch, &head.id);
    return head;
}

static group_head head_of_group(const hone_batch *const *batches, size_t count, int64_t *bytes)
{
    group_head head;
    hone_hash hash;
    hone_hash_init(&hash);
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        batch_head one = head_of(batches[i]);
        hone_piece blob = hone_batch_blob(batches[i]);
        hone_hash_add(&hash, &one, sizeof one);
        hone_hash_add(&hash, blob.data, blob.size_bytes);
        *bytes += (int64_t)(sizeof one + blob.size_bytes);
    }
    memcpy(head.magic, magic, sizeof magic);
    head.size_bytes = htole64((uint64_t)*bytes);
    hone_hash_end(&hash, &head.digest);
    *bytes += (int64_t)sizeof head;
    return head;
}

static hone_status append(hone_inbox *inbox, const hone_batch *const *batches, size_t count, const group_head *head)
{
    hone_status status;
    HONE_TRY(open_segment(inbox));
    HONE_TRY(write_all(inbox, head, sizeof *head));
    for (size_t i = 0; i < count; i++) {
        batch_head one = head_of(batches[i]);
        hone_piece blob = hone_batch_blob(batches[i]);
        HONE_TRY(write_all(inbox, &one, sizeof one));
        HONE_TRY(write_all(inbox, blob.data, blob.size_bytes));
    }
    if (fdatasync(inbox->file)) status = fail_errno("sync", inbox->folder);
out:
    return status;
}

// Behind what could not be written nothing is appended any more.
static void give_up_segment(hone_inbox *inbox)
{
    if (inbox->file >= 0) close(inbox->file);
    inbox->file = -1;
    inbox->number++;
}

hone_status hone_inbox_append(hone_inbox *inbox, const hone_batch *const *batches, size_t count)
{
    int64_t bytes;
    const group_head head = head_of_group(batches, count, &bytes);
    pthread_mutex_lock(&inbox->mutex);
    hone_status status = append(inbox, batches, count, &head);
    if (status == HONE_OK) atomic_fetch_add(&inbox->bytes, bytes);
    else give_up_segment(inbox);
    pthread_mutex_unlock(&inbox->mutex);
    return status;
}

int64_t hone_inbox_bytes(hone_inbox *inbox)
{
    return atomic_load(&inbox->bytes);
}

// ---- whose it is

// The lock's file goes when its holder removes the folder: then what was locked is another file than the one that lies there.
static hone_status lock(const char *folder, int *taken)
{
    char path[PATH_MAX];
    bool held = false;
    snprintf(path, sizeof path, "%s/lock", folder);
    hone_status status = hone_lock_take(path, taken);
    if (status == HONE_OK) status = hone_lock_look(path, &held);
    if (status != HONE_OK || held) return status;
    hone_lock_release(*taken);
    *taken = -1;
    return hone_fail(HONE_AGAIN, "another process has just removed %s", folder);
}

static hone_status make_folder(const char *folder)
{
    char above[PATH_MAX];
    if (mkdir(folder, 0777) && errno != EEXIST) return fail_errno("make", folder);
    snprintf(above, sizeof above, "%s/..", folder);
    int file = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) return fail_errno("open", above);
    hone_status status = fsync(file) ? fail_errno("sync", above) : HONE_OK;
    close(file);
    return status;
}

// Those who fold what another hub has left hold the lock for some seconds, and only while there is something.
static hone_status wait_for_lock(hone_inbox *inbox, const char *db)
{
    hone_status status;
    int64_t start_ns = hone_clock_ns();
    for (;;) {
        status = make_folder(inbox->folder);
        if (status == HONE_OK) status = lock(inbox->folder, &inbox->lock);
        if (status == HONE_IO && !hone_path_exists(inbox->folder)) continue;
        if (status != HONE_AGAIN || !hone_inbox_holds(db) || hone_clock_ns() - start_ns > hone_store_wait_ns) break;
        hone_sleep_ns(10000000);
    }
    return status == HONE_AGAIN ? hone_fail_in(status, "another hub serves %s", db) : status;
}

hone_status hone_inbox_open(const char *db, hone_inbox **inbox)
{
    char folder[FOLDER_TEXT];
    sum found = {0};
    hone_status status;
    hone_inbox *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    print_folder(db, folder);
    made->lock = made->directory = made->file = -1;
    pthread_mutex_init(&made->mutex, NULL);
    made->folder = hone_strdup(folder);
    if (!made->folder) {
        status = HONE_NO_MEMORY;
        goto out;
    }
    HONE_TRY(wait_for_lock(made, db));
    made->directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (made->directory < 0) HONE_TRY(fail_errno("open", folder));
    HONE_TRY(each_segment(folder, INT64_MAX, add_segment, &found));
    made->number = found.last + 1;
    atomic_store(&made->bytes, found.bytes);
    *inbox = made;
    return HONE_OK;
out:
    hone_inbox_close(made);
    return status;
}

// By the holder of the lock, when nothing is in it any more.
static void remove_folder(const char *folder)
{
    char path[PATH_MAX];
    sum found = {0};
    if (each_segment(folder, INT64_MAX, add_segment, &found) != HONE_OK || found.last) return;
    snprintf(path, sizeof path, "%s/lock", folder);
    unlink(path);
    rmdir(folder);
}

void hone_inbox_close(hone_inbox *inbox)
{
    if (!inbox) return;
    if (inbox->file >= 0) close(inbox->file);
    if (inbox->directory >= 0) close(inbox->directory);
    if (inbox->lock >= 0) remove_folder(inbox->folder);
    hone_lock_release(inbox->lock);
    pthread_mutex_destroy(&inbox->mutex);
    hone_free(inbox->folder);
    hone_free(inbox);
}

hone_status hone_inbox_settle(const char *db, hone_store *store)
{
    char folder[FOLDER_TEXT];
    folding to = {.store = store, .examines = true};
    int taken = -1;
    print_folder(db, folder);
    hone_status status = lock(folder, &taken);
    if (status == HONE_AGAIN || (status == HONE_IO && !hone_path_exists(folder))) status = HONE_OK;
    if (status == HONE_OK) status = fold(folder, INT64_MAX, &to);
    if (status == HONE_OK && taken >= 0) status = each_segment(folder, INT64_MAX, remove_segment, NULL);
    if (status == HONE_OK && taken >= 0) remove_folder(folder);
    hone_lock_release(taken);
    return status;
}
