// SPDX-License-Identifier: Apache-2.0
// Locks of the open file, not of the process (fcntl(2), "open file description locks"): closing another descriptor of the same file
// does not lose them, and flock(2) would not let anyone look without taking.
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static hone_status open_lock(const char *path, int flags, int *file)
{
    *file = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666);
    if (*file >= 0) return HONE_OK;
    return hone_fail(HONE_IO, "cannot open the lock %s: %s", path, strerror(errno));
}

static hone_status fail(const char *path)
{
    if (errno == EAGAIN || errno == EACCES) return hone_fail(HONE_AGAIN, "another process holds %s", path);
    return hone_fail(HONE_IO, "cannot lock %s: %s; the file system must pass locks on", path, strerror(errno));
}

hone_status hone_lock_take(const char *path, int *lock)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int file;
    *lock = -1;
    hone_status status = open_lock(path, O_RDWR | O_CREAT, &file);
    if (status != HONE_OK) return status;
    if (!fcntl(file, F_OFD_SETLK, &whole)) return *lock = file, HONE_OK;
    status = fail(path);
    close(file);
    return status;
}

void hone_lock_release(int lock)
{
    if (lock >= 0) close(lock);
}

hone_status hone_lock_look(const char *path, bool *held)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int file;
    *held = false;
    if (access(path, F_OK)) return HONE_OK;
    hone_status status = open_lock(path, O_RDONLY, &file);
    if (status != HONE_OK) return status;
    if (fcntl(file, F_OFD_GETLK, &whole)) status = fail(path);
    else *held = whole.l_type != F_UNLCK;
    close(file);
    return status;
}
