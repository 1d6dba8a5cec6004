// SPDX-License-Identifier: Apache-2.0
// A lock on a file: held by one process until it lets go or ends, however it ends. Also between the hosts of a network file system, where
// that passes locks on. Locks are not inherited by programs that the holder starts.
#ifndef HONE_BASE_LOCK_H
#define HONE_BASE_LOCK_H

#include <stdbool.h>

#include "base/status.h"

hone_status hone_lock_take(const char *path, int *lock);      // makes the file when missing. HONE_AGAIN: another process holds it
void hone_lock_release(int lock);                             // -1 is legal
hone_status hone_lock_look(const char *path, bool *held);     // takes nothing and disturbs nobody; no file: not held

#endif
