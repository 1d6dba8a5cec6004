// SPDX-License-Identifier: Apache-2.0
// One piece of work beside the caller's own: it starts on a thread of its own and is waited for once. Where no thread is to be had, it runs
// while it is started. What `user` points at belongs to the task until the wait is over.
#ifndef HONE_BASE_TASK_H
#define HONE_BASE_TASK_H

#include <pthread.h>
#include <stdbool.h>

#include "base/status.h"

typedef struct hone_task {
    hone_status (*run)(void *user);
    void *user;
    hone_status status;
    char *why;                    // the sentence of a failure, which is the thread's own
    pthread_t thread;
    bool is_beside;
} hone_task;

void hone_task_start(hone_task *task, hone_status (*run)(void *user), void *user);
hone_status hone_task_wait(hone_task *task);      // what run answered, its sentence now the caller's

#endif
