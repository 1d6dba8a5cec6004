// SPDX-License-Identifier: Apache-2.0
#include "db/http_guests.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { LOOK_NS = 250000000 };

struct hone_http_guest {
    hone_http_guest *before, *next;
    int handle;
    atomic_llong until_ns;
};

struct hone_http_guests {
    pthread_mutex_t mutex;
    pthread_cond_t ended;
    pthread_t thread;
    bool started, ending;
    hone_http_guest *first;
};

// Under the mutex nobody leaves, so no handle is another socket's already.
static void shut_late_ones(hone_http_guests *guests)
{
    int64_t now_ns = hone_clock_ns();
    for (hone_http_guest *at = guests->first; at; at = at->next)
        if (atomic_load(&at->until_ns) < now_ns) shutdown(at->handle, SHUT_RDWR);
}

static void *watch(void *user)
{
    hone_http_guests *guests = user;
    pthread_mutex_lock(&guests->mutex);
    while (!guests->ending) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t end_ns = until.tv_nsec + LOOK_NS;
        until.tv_sec += end_ns / 1000000000;
        until.tv_nsec = end_ns % 1000000000;
        pthread_cond_timedwait(&guests->ended, &guests->mutex, &until);
        shut_late_ones(guests);
    }
    pthread_mutex_unlock(&guests->mutex);
    return NULL;
}

hone_status hone_http_guests_new(hone_http_guests **guests)
{
    hone_http_guests *made = hone_calloc(1, sizeof *made);
    if (!made) return HONE_NO_MEMORY;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->ended, NULL);
    made->started = !pthread_create(&made->thread, NULL, watch, made);
    if (made->started) {
        *guests = made;
        return HONE_OK;
    }
    hone_http_guests_free(made);
    return hone_fail(HONE_NO_MEMORY, "no more threads can be made");
}

void hone_http_guests_free(hone_http_guests *guests)
{
    if (!guests) return;
    pthread_mutex_lock(&guests->mutex);
    guests->ending = true;
    pthread_cond_signal(&guests->ended);
    pthread_mutex_unlock(&guests->mutex);
    if (guests->started) pthread_join(guests->thread, NULL);
    pthread_cond_destroy(&guests->ended);
    pthread_mutex_destroy(&guests->mutex);
    hone_free(guests);
}

hone_http_guest *hone_http_guest_enter(hone_http_guests *guests, int handle, int seconds)
{
    hone_http_guest *made = hone_calloc(1, sizeof *made);
    if (!made) return NULL;
    made->handle = handle;
    hone_http_guest_expect(made, seconds);
    pthread_mutex_lock(&guests->mutex);
    made->next = guests->first;
    if (made->next) made->next->before = made;
    guests->first = made;
    pthread_mutex_unlock(&guests->mutex);
    return made;
}

void hone_http_guest_expect(hone_http_guest *guest, int seconds)
{
    if (guest) atomic_store(&guest->until_ns, hone_clock_ns() + seconds * 1000000000LL);
}

void hone_http_guest_leave(hone_http_guests *guests, hone_http_guest *guest)
{
    if (!guest) return;
    pthread_mutex_lock(&guests->mutex);
    *(guest->before ? &guest->before->next : &guests->first) = guest->next;
    if (guest->next) guest->next->before = guest->before;
    pthread_mutex_unlock(&guests->mutex);
    hone_free(guest);
}
