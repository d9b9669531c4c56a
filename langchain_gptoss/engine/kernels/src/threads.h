/* Threads that share the items of loops. They are made for a forward pass, which has some hundred short loops: between
 * two loops of a pass a thread waits in a loop of its own, and between passes it sleeps. torch's OpenMP
 * threads would sleep between loops, too, as soon as two threads of Python use torch. */
#ifndef GPTOSS_THREADS_H
#define GPTOSS_THREADS_H

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#define IDLE_CHECKS 2000 /* of a worker for the next loop, before it sleeps: about 50 microseconds */
#define NO_ITEMS UINT32_MAX

/* `thread` is below the number of threads and belongs to the calling thread alone: it selects its scratch memory. */
typedef void (*Task)(void *context, long item, int thread);

/* The calling thread and its workers. The upper half of `ticket` is the number of the loop in progress, the lower half
 * its next item. A thread takes items by raising the ticket. That fails if another loop has begun since it read the
 * ticket, so what it has read of the loop's fields belongs to the ticket. A loop ends when its items are done: a worker
 * that took none, because the system runs something else in its place, holds nobody up. */
typedef struct {
    _Atomic uint64_t ticket;
    atomic_long remaining; /* items that are not done */
    _Atomic(Task) task;
    _Atomic(void *) context;
    atomic_long items, grain;
    atomic_int is_active;  /* loops follow each other */
    atomic_int is_closing, sleeper_count;
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    int worker_count;
    struct Worker *workers;
} Team;

typedef struct Worker {
    Team *team;
    int thread;
    pthread_t id;
} Worker;

static inline void pause_thread(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int has_items(Team *team) {
    const long first = (long)(atomic_load(&team->ticket) & NO_ITEMS);
    return first < atomic_load(&team->items);
}

/* Takes and does a share of the remaining items, until there are none. Shares are long at first, because memory reads
 * long runs fastest, and short at the end, so that no thread waits long for another. */
static void do_items(Team *team, int thread) {
    uint64_t ticket = atomic_load(&team->ticket);
    for (;;) {
        const long first = (long)(ticket & NO_ITEMS), items = atomic_load(&team->items);
        if (first >= items) return;
        const Task task = atomic_load(&team->task);
        void *context = atomic_load(&team->context);
        const long share = (items - first) / (3L * (team->worker_count + 1)), grain = atomic_load(&team->grain);
        const long wanted = share > grain ? share : grain, count = wanted < items - first ? wanted : items - first;
        if (!atomic_compare_exchange_weak(&team->ticket, &ticket, ticket + (uint64_t)count)) continue;
        for (long item = first; item < first + count; item++) task(context, item, thread);
        atomic_fetch_sub(&team->remaining, count);
        ticket = atomic_load(&team->ticket);
    }
}

/* Returns 0 when the team is closed. */
static int wait_for_items(Team *team) {
    for (int i = 0; i < IDLE_CHECKS && atomic_load(&team->is_active); i++) {
        if (has_items(team)) return 1;
        pause_thread();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleeper_count, 1); /* before the check: `parallel_for` publishes items before it reads this */
    while (!has_items(team) && !atomic_load(&team->is_closing)) pthread_cond_wait(&team->condition, &team->mutex);
    atomic_fetch_sub(&team->sleeper_count, 1);
    pthread_mutex_unlock(&team->mutex);
    return !atomic_load(&team->is_closing);
}

static void *run_worker(void *argument) {
    const Worker *worker = argument;
#ifdef __linux__
    prctl(PR_SET_NAME, "gptoss-worker");
#endif
    while (wait_for_items(worker->team)) do_items(worker->team, worker->thread);
    return NULL;
}

static void wake_workers(Team *team) {
    if (!atomic_load(&team->sleeper_count)) return;
    pthread_mutex_lock(&team->mutex);
    pthread_cond_broadcast(&team->condition);
    pthread_mutex_unlock(&team->mutex);
}

/* Starts up to threads - 1 workers, fewer if the system refuses more. Returns null if memory runs out; the functions
 * below accept that. Signals stay with the threads of Python. */
static Team *create_team(int threads) {
    Team *team = calloc(1, sizeof *team);
    if (!team) return NULL;
    team->workers = calloc((size_t)threads, sizeof *team->workers);
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->condition, NULL);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int count = 0;
    for (; team->workers && count < threads - 1; count++) {
        team->workers[count] = (Worker){.team = team, .thread = count + 1};
        if (pthread_create(&team->workers[count].id, NULL, run_worker, team->workers + count)) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    team->worker_count = count;
    return team;
}

static void free_team(Team *team) {
    if (!team) return;
    atomic_store(&team->is_closing, 1);
    wake_workers(team);
    for (int i = 0; i < team->worker_count; i++) pthread_join(team->workers[i].id, NULL);
    pthread_cond_destroy(&team->condition);
    pthread_mutex_destroy(&team->mutex);
    free(team->workers);
    free(team);
}

/* Keeps the workers awake between loops, or lets them sleep. */
static void set_active(Team *team, int is_active) {
    if (team) atomic_store(&team->is_active, is_active);
}

/* Runs task(context, item, thread) for each item, at least `grain` items at a time. One thread at a time calls this. */
static void parallel_for(Team *team, Task task, void *context, long items, long grain) {
    if (!team || !team->worker_count || items <= grain) {
        for (long item = 0; item < items; item++) task(context, item, 0);
        return;
    }
    const uint64_t number = ((atomic_load(&team->ticket) >> 32) + 1) << 32;
    atomic_store(&team->ticket, number | NO_ITEMS); /* from now on, no thread can take items of the last loop */
    atomic_store(&team->task, task);
    atomic_store(&team->context, context);
    atomic_store(&team->items, items);
    atomic_store(&team->grain, grain);
    atomic_store(&team->remaining, items);
    atomic_store(&team->ticket, number);
    wake_workers(team);
    do_items(team, 0);
    for (long checks = 0; atomic_load(&team->remaining); checks++) {
        pause_thread();
        if (checks > IDLE_CHECKS) sched_yield(); /* a worker with items may wait for this processor */
    }
}

#endif
