// SPDX-License-Identifier: Apache-2.0
#include <string.h>
#include <time.h>

#include "db/hub_priv.h"

void hone_hub_queue_init(hone_hub_queue *queue)
{
    pthread_condattr_t monotonic;
    memset(queue, 0, sizeof *queue);
    pthread_mutex_init(&queue->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&queue->filled, &monotonic);
    pthread_condattr_destroy(&monotonic);
    for (int k = 0; k < 2; k++) queue->last[k] = &queue->first[k];
}

bool hone_hub_queue_put(hone_hub_queue *queue, hone_hub_call *call, bool urgent, bool always)
{
    int k = urgent ? 0 : 1;
    pthread_mutex_lock(&queue->mutex);
    bool room = always || (!queue->closed && queue->count < HONE_HUB_JOBS_MAX);
    if (room) {
        call->next = NULL;
        *queue->last[k] = call;
        queue->last[k] = &call->next;
        queue->count++;
        pthread_cond_signal(&queue->filled);
    }
    pthread_mutex_unlock(&queue->mutex);
    return room;
}

static hone_hub_call *take_locked(hone_hub_queue *queue, int most)
{
    int k = queue->first[0] ? 0 : 1;
    hone_hub_call *taken = queue->first[k], **end = &queue->first[k];
    for (int n = 0; n < most && *end; n++) {
        end = &(*end)->next;
        queue->count--;
    }
    hone_hub_call *rest = *end;
    *end = NULL;
    queue->first[k] = rest;
    if (!rest) queue->last[k] = &queue->first[k];
    return taken;
}

hone_hub_call *hone_hub_queue_take(hone_hub_queue *queue, int most, int64_t wait_ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t end_ns = until.tv_nsec + wait_ns;
    until.tv_sec += end_ns / 1000000000;
    until.tv_nsec = end_ns % 1000000000;
    pthread_mutex_lock(&queue->mutex);
    while (!queue->count && !queue->closed)
        if (pthread_cond_timedwait(&queue->filled, &queue->mutex, &until)) break;
    hone_hub_call *taken = queue->count ? take_locked(queue, most) : NULL;
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

void hone_hub_queue_close(hone_hub_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->closed = true;
    pthread_cond_broadcast(&queue->filled);
    pthread_mutex_unlock(&queue->mutex);
}

bool hone_hub_queue_is_over(hone_hub_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    bool over = queue->closed && !queue->count;
    pthread_mutex_unlock(&queue->mutex);
    return over;
}

int hone_hub_queue_count(hone_hub_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    int count = queue->count;
    pthread_mutex_unlock(&queue->mutex);
    return count;
}
