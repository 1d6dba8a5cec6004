// SPDX-License-Identifier: Apache-2.0
#include "base/task.h"

#include <signal.h>

#include "base/alloc.h"

static void *serve(void *user)
{
    hone_task *task = user;
    task->status = task->run(task->user);
    if (task->status != HONE_OK) task->why = hone_strdup(hone_error_text());
    return NULL;
}

void hone_task_start(hone_task *task, hone_status (*run)(void *user), void *user)
{
    sigset_t all, before;
    *task = (hone_task){.run = run, .user = user};
    sigfillset(&all);             // signals belong to the program's own threads
    pthread_sigmask(SIG_SETMASK, &all, &before);
    task->is_beside = !pthread_create(&task->thread, NULL, serve, task);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!task->is_beside) serve(task);
}

hone_status hone_task_wait(hone_task *task)
{
    if (task->is_beside) pthread_join(task->thread, NULL);
    if (task->status != HONE_OK) hone_fail(task->status, "%s", task->why ? task->why : "out of memory");
    hone_free(task->why);
    return task->status;
}
