// SPDX-License-Identifier: Apache-2.0
// One loop runs at a time. Opening it publishes its fields with a new `state`; a worker joins by raising
// the count in `state` while the loop is open; closing it forbids joining, so that the caller waits only
// for workers that joined, never for one that the system has not woken yet.
#include "base/thread.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/status.h"

enum { MOST_WORKERS = 255 };

// A network's layers call this hundreds of times a run, some microseconds apart, and waking a sleeping
// thread takes 50 us or so: workers stay awake a little longer than that.
enum { SPIN_NS = 100000, PAUSES_PER_LOOK = 32 };

// The state: generation << 32 | CLOSED | how many may join << 16 | how many joined.
#define CLOSED ((uint64_t)1 << 31)

typedef struct loop {
    void (*body)(void *user, int64_t begin, int64_t end, int worker);
    void *user;
    int64_t count;
    int64_t grain;
} loop;

static struct {
    pthread_mutex_t owner;             // held by the caller whose loop runs
    loop now;                          // written while closed, read by those who joined
    int worker_count;                  // under owner
    bool has_fork_handler;
    _Alignas(64) _Atomic uint64_t state;
    _Alignas(64) _Atomic uint32_t wake;       // raised with each loop; idle workers sleep on it
    _Atomic uint32_t sleepers;
    _Alignas(64) _Atomic int64_t next;        // first item that nobody has taken
    _Alignas(64) _Atomic uint32_t left;       // workers that joined and are through; the caller sleeps on it
    _Atomic uint32_t caller_sleeps;
} pool = {.owner = PTHREAD_MUTEX_INITIALIZER, .state = CLOSED};

static _Thread_local bool is_inside;

static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake(_Atomic uint32_t *word, int count)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, count, NULL, NULL, 0);
}

// Returns when the word differs from `seen` or the time to spin is over.
static void spin_while(_Atomic uint32_t *word, uint32_t seen)
{
    if (hone_cpu_count() < 2) return;
    int64_t end_ns = hone_clock_ns() + SPIN_NS;
    do {
        for (int i = 0; i < PAUSES_PER_LOOK; i++) {
            if (atomic_load_explicit(word, memory_order_acquire) != seen) return;
            __builtin_ia32_pause();
        }
    } while (hone_clock_ns() < end_ns);
}

static void take_pieces(const loop *now, int worker)
{
    for (;;) {
        int64_t begin = atomic_fetch_add_explicit(&pool.next, now->grain, memory_order_relaxed);
        if (begin >= now->count) return;
        int64_t end = now->count - begin > now->grain ? begin + now->grain : now->count;
        now->body(now->user, begin, end, worker);
    }
}

// Returns the worker's number in the loop, 0 if there is nothing to join.
static int join_loop(uint64_t *last_generation)
{
    uint64_t state = atomic_load(&pool.state);
    for (;;) {
        uint64_t joined = state & 0xffff, most = state >> 16 & 0x7fff;
        if (state & CLOSED || joined >= most || state >> 32 == *last_generation) return 0;
        if (!atomic_compare_exchange_weak(&pool.state, &state, state + 1)) continue;
        *last_generation = state >> 32;
        return (int)joined + 1;
    }
}

static void sleep_until_woken(uint32_t seen)
{
    atomic_fetch_add(&pool.sleepers, 1);
    if (atomic_load(&pool.wake) == seen) futex_wait(&pool.wake, seen);
    atomic_fetch_sub(&pool.sleepers, 1);
}

static void *run_worker(void *unused)
{
    uint64_t last_generation = UINT64_MAX;
    (void)unused;
    is_inside = true;
    for (;;) {
        uint32_t seen = atomic_load(&pool.wake);
        int worker = join_loop(&last_generation);
        if (worker) {
            take_pieces(&pool.now, worker);
            atomic_fetch_add(&pool.left, 1);
            if (atomic_load(&pool.caller_sleeps)) futex_wake(&pool.left, 1);
            continue;
        }
        spin_while(&pool.wake, seen);
        if (atomic_load(&pool.wake) == seen) sleep_until_woken(seen);
    }
    return NULL;
}

// A child of fork has none of the workers.
static void forget_workers(void)
{
    pthread_mutex_init(&pool.owner, NULL);
    pool.worker_count = 0;
    atomic_store(&pool.state, CLOSED);
    atomic_store(&pool.sleepers, 0);
}

static int start_worker(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes)) return -1;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);      // signals belong to the program's own threads
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, &attributes, run_worker, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return failed ? -1 : 0;
}

// With fewer workers than wanted a loop is slower, never wrong: the caller takes what is left.
static void ensure_workers(int wanted)
{
    if (!pool.has_fork_handler) pool.has_fork_handler = pthread_atfork(NULL, NULL, forget_workers) == 0;
    while (pool.worker_count < wanted && !start_worker()) pool.worker_count++;
}

static void open_loop(const loop *now, int most_joined)
{
    uint64_t generation = (atomic_load(&pool.state) >> 32) + 1;
    pool.now = *now;
    atomic_store(&pool.next, 0);
    atomic_store(&pool.left, 0);
    atomic_store(&pool.state, generation << 32 | (uint64_t)most_joined << 16);
    atomic_fetch_add(&pool.wake, 1);
    if (atomic_load(&pool.sleepers)) futex_wake(&pool.wake, most_joined);
}

static void close_loop(void)
{
    uint32_t joined = atomic_fetch_or(&pool.state, CLOSED) & 0xffff;
    for (;;) {
        uint32_t seen = atomic_load(&pool.left);
        if (seen == joined) return;
        spin_while(&pool.left, seen);
        atomic_store(&pool.caller_sleeps, 1);
        if (atomic_load(&pool.left) == seen) futex_wait(&pool.left, seen);
        atomic_store(&pool.caller_sleeps, 0);
    }
}

static void run_inline(const loop *now)
{
    for (int64_t begin = 0; begin < now->count; begin += now->grain)
        now->body(now->user, begin, now->count - begin > now->grain ? begin + now->grain : now->count, 0);
}

void hone_parallel(int64_t count, int64_t grain, int threads,
                   void (*body)(void *user, int64_t begin, int64_t end, int worker), void *user)
{
    if (count <= 0) return;
    loop now = {body, user, count, grain > 0 ? grain : 1};
    int64_t pieces = (count - 1) / now.grain + 1;
    if (threads > MOST_WORKERS + 1) threads = MOST_WORKERS + 1;
    if (threads > pieces) threads = (int)pieces;
    // A second caller at the same time does its own work: waiting for the pool would take as long.
    if (threads <= 1 || is_inside || pthread_mutex_trylock(&pool.owner)) {
        run_inline(&now);
        return;
    }
    ensure_workers(threads - 1);
    is_inside = true;
    open_loop(&now, threads - 1);
    take_pieces(&now, 0);
    close_loop();
    is_inside = false;
    pthread_mutex_unlock(&pool.owner);
}
