// SPDX-License-Identifier: Apache-2.0
// Where a database may live, and by which journal. SQLite's WAL has a race, fixed in 3.51.3 and backported to 3.44.6 and
// 3.50.7, that can lose commits when two connections share a file; so a library without the fix gets the rollback
// journal. A distribution that patches an old version under its old number gets it too: slower, never unsafe.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "db/store_priv.h"

bool hone_journal_allows_wal(int sqlite_version)
{
    static const struct { int from, below; } fixed[] = {
        {3044006, 3045000}, {3050007, 3051000}, {3051003, INT32_MAX},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++)
        if (sqlite_version >= fixed[i].from && sqlite_version < fixed[i].below) return true;
    return false;
}

enum { MAGIC_FUSE = 0x65735546 };

bool hone_place_is_network(int64_t file_system_magic, const char *file_system_name)
{
    static const int64_t magics[] = {        // statfs(2): nfs, smb, cifs, smb2, afs, coda, ceph, lustre, gpfs, beegfs, ocfs2, gfs2, afs (kernel's)
        0x6969, 0x517b, 0xff534d42, 0xfe534d42, 0x5346414f, 0x73757245, 0x00c36400, 0x0bd00bd0, 0x47504653, 0x19830326,
        0x7461636f, 0x01161970, 0x6b414653,
    };
    static const char *const names[] = {     // what a FUSE mount says it is
        "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone",
        "fuse.juicefs", "fuse.JuiceFS", "fuse.goofys", "fuse.mount-s3", "fuse.blobfuse", "fuse.blobfuse2",
    };
    for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
        if (magics[i] == file_system_magic) return true;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i], file_system_name)) return true;
    return false;
}

// The type of the mount that holds a device number, as /proc/self/mountinfo spells it; "" when it does not say.
static void find_mount_type(dev_t device, char name[64])
{
    char wanted[32], line[4096], *hyphen;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    name[0] = 0;
    snprintf(wanted, sizeof wanted, " %u:%u ", major(device), minor(device));
    while (file && fgets(line, sizeof line, file))
        if (strstr(line, wanted) && (hyphen = strstr(line, " - "))) sscanf(hyphen + 3, "%63s", name);
    if (file) fclose(file);
}

hone_status hone_place_check(const char *path)
{
    char folder[4096], type[64] = "";
    struct statfs system;
    struct stat facts;
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    if (statfs(folder, &system) || stat(folder, &facts))
        return hone_fail(HONE_IO, "cannot look at the folder %s of the database: %s", folder, strerror(errno));
    if ((int64_t)system.f_type == MAGIC_FUSE) find_mount_type(facts.st_dev, type);
    if (!hone_place_is_network((int64_t)(uint32_t)system.f_type, type)) return HONE_OK;
    return hone_fail(HONE_USAGE, "%s is on a network file system, where SQLite cannot keep a database safe between writers: "
                     "write to a file on a local disk (--db) and merge it afterwards (hone db merge)", path);
}

static hone_status read_journal(hone_store *store)
{
    sqlite3_stmt *statement;
    bool row;
    hone_status status = hone_store_prepare(store, "PRAGMA journal_mode", &statement);
    if (status == HONE_OK) status = hone_store_step(store, statement, &row);
    if (status != HONE_OK) return status;
    snprintf(store->journal, sizeof store->journal, "%s", (const char *)sqlite3_column_text(statement, 0));
    sqlite3_reset(statement);
    return HONE_OK;
}

// A file that was left in WAL leaves it in exclusive locking, so that no second WAL connection can exist meanwhile.
static hone_status leave_wal(hone_store *store)
{
    hone_status status = hone_store_exec(store, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = TRUNCATE");
    if (status == HONE_OK) status = hone_store_exec(store, "PRAGMA locking_mode = NORMAL; SELECT count(*) FROM sqlite_schema");
    if (status != HONE_OK)
        return hone_fail_in(status, "%s is in WAL mode, unsafe to share under SQLite %s, and cannot leave it now (is another "
                            "program using it?)", store->path, sqlite3_libversion());
    return HONE_OK;
}

// A journal that is truncated gets its blocks anew for every commit, and each of the four syncs then waits for the file system's own journal too: where 200
// clients put 10,000 rows a second, p99 of 40 s was 770 ms, and 240 with blocks that stay (one run each). What stays is a spent journal: its head is
// zeroed and synced.
hone_status hone_store_keep_journal(hone_store *store)
{
    if (store->shared || !strcmp(store->journal, "wal")) return HONE_OK;
    return hone_store_exec(store, "PRAGMA journal_mode = PERSIST; PRAGMA journal_size_limit = 67108864");
}

hone_status hone_journal_apply(hone_store *store, bool file_is_wal)
{
    bool wal = hone_journal_allows_wal(sqlite3_libversion_number());
    hone_status status;
    snprintf(store->reason, sizeof store->reason, "SQLite %s %s", sqlite3_libversion(),
             wal ? "has the fix of the WAL-reset race, so WAL is used"
                 : "does not have the fix of the WAL-reset race (3.44.6, 3.50.7, 3.51.3 do), so the rollback journal is used");
    if (!wal && file_is_wal) HONE_TRY(leave_wal(store));
    if (!wal) HONE_TRY(hone_store_exec(store, "PRAGMA journal_mode = TRUNCATE"));
    if (wal && store->access != HONE_STORE_READ) HONE_TRY(hone_store_exec(store, "PRAGMA journal_mode = WAL"));
    HONE_TRY(hone_store_exec(store, "PRAGMA synchronous = FULL"));
    HONE_TRY(read_journal(store));
    if (!wal && !strcmp(store->journal, "wal"))
        return hone_fail(HONE_AGAIN, "%s is in WAL mode, unsafe to share under SQLite %s, and is in use by another program: "
                         "close that program first", store->path, sqlite3_libversion());
out:
    return status;
}
