// SPDX-License-Identifier: Apache-2.0
/* How to wake a shard that sleeps in its ring: an eventfd with a read armed on it, or IORING_OP_MSG_RING from the
 * sender's ring. Two threads with a ring each, set up as shards are, wake one another in turn: half a round trip is one
 * wake. Prints p50 and p99 of a wake, and the mean time that the sender spends in one. Usage: wake_bench [rounds]. */
#include <liburing.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define WARM_UP 1000

struct side {
    struct io_uring ring;
    int wake_fd;
    uint64_t count;
    struct side *peer;
    bool by_message, first;
    unsigned rounds;
    uint32_t *took_ns;
    int64_t send_ns; /* sum, in wake() */
    pthread_barrier_t *ready;
};

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void arm(struct side *s)
{
    if (!s->by_message) io_uring_prep_read(io_uring_get_sqe(&s->ring), s->wake_fd, &s->count, sizeof s->count, 0);
}

static void wake(struct side *s)
{
    int64_t begin = now_ns();
    uint64_t one = 1;
    if (!s->by_message) {
        if (write(s->peer->wake_fd, &one, sizeof one) != sizeof one) die("write");
    } else {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&s->ring);
        io_uring_prep_msg_ring(sqe, s->peer->ring.ring_fd, 0, 1, 0);
        sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
        if (io_uring_submit(&s->ring) != 1) die("submit");
    }
    s->send_ns += now_ns() - begin;
}

static void wait_for_wake(struct side *s)
{
    struct io_uring_cqe *cqe;
    if (io_uring_submit_and_wait(&s->ring, 1) < 0 || io_uring_peek_cqe(&s->ring, &cqe) != 0) die("wait");
    if (cqe->res < 0) {
        fprintf(stderr, "wake: error %d\n", -cqe->res);
        exit(1);
    }
    io_uring_cqe_seen(&s->ring, cqe);
    arm(s);
}

static void *run(void *arg)
{
    struct side *s = arg;
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    if (io_uring_queue_init_params(64, &s->ring, &p) != 0) die("ring");
    arm(s);
    pthread_barrier_wait(s->ready);
    for (unsigned i = 0; i < WARM_UP + s->rounds; i++) {
        int64_t begin = now_ns();
        if (i == WARM_UP) s->send_ns = 0;
        if (s->first) wake(s);
        wait_for_wake(s);
        if (!s->first) wake(s);
        if (i >= WARM_UP) s->took_ns[i - WARM_UP] = (uint32_t)((now_ns() - begin) / 2);
    }
    pthread_barrier_wait(s->ready); /* the last wake needs both rings */
    io_uring_queue_exit(&s->ring);
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void measure(bool by_message, unsigned rounds)
{
    struct side sides[2] = {0};
    pthread_t threads[2];
    pthread_barrier_t ready;
    pthread_barrier_init(&ready, NULL, 2);
    for (int i = 0; i < 2; i++) {
        sides[i] = (struct side){.wake_fd = eventfd(0, EFD_CLOEXEC),
                                 .peer = &sides[1 - i],
                                 .by_message = by_message,
                                 .first = i == 0,
                                 .rounds = rounds,
                                 .took_ns = calloc(rounds, sizeof(uint32_t)),
                                 .ready = &ready};
        if (sides[i].wake_fd < 0 || sides[i].took_ns == NULL) die("set-up");
    }
    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, run, &sides[i]) != 0) die("thread");
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    uint32_t *ns = sides[0].took_ns;
    qsort(ns, rounds, sizeof *ns, by_number);
    printf("%-8s wake p50 %6.2f us  p99 %6.2f us  send %5.2f us\n", by_message ? "MSG_RING" : "eventfd",
           ns[rounds / 2] / 1e3, ns[rounds - 1 - rounds / 100] / 1e3, (double)sides[0].send_ns / rounds / 1e3);
    for (int i = 0; i < 2; i++) {
        close(sides[i].wake_fd);
        free(sides[i].took_ns);
    }
    pthread_barrier_destroy(&ready);
}

int main(int argc, char **argv)
{
    long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 50000;
    if (rounds < 100 || rounds > 10000000) {
        fprintf(stderr, "usage: wake_bench [rounds, 100 to 10000000]\n");
        return 2;
    }
    for (int i = 0; i < 3; i++) { /* in turn, so that a disturbance hits both */
        measure(false, (unsigned)rounds);
        measure(true, (unsigned)rounds);
    }
    return 0;
}
