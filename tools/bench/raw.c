// SPDX-License-Identifier: Apache-2.0
/* The raw probes. A file of 512 MiB is zeroed (O_DIRECT), then: 500 writes with fdatasync and 500 with RWF_DSYNC, taken
 * in turns so that a disturbance hits both, each at the next 4 KiB as a journal would; then the whole file is written
 * again by four threads with one piece each in flight. Failure modes: a sentence; the file is removed in any case. */
#include "tools/bench/raw.h"

#include "tools/bench/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILE_BYTES  (512ll << 20)
#define PIECE_BYTES (1ll << 20)
#define BLOCK       4096
#define ROUNDS      500
#define DEPTH       4

struct writer {
    pthread_t thread;
    int file;
    off_t first;
    const void *piece;
    int error;
};

static void *write_pieces(void *arg)
{
    struct writer *w = arg;
    for (off_t at = w->first; at < FILE_BYTES; at += DEPTH * PIECE_BYTES)
        if (pwrite(w->file, w->piece, PIECE_BYTES, at) != PIECE_BYTES) w->error = errno != 0 ? errno : EIO;
    return NULL;
}

/* The whole file once; seconds, or -1 with errno. */
static double write_all(int file, const void *piece)
{
    struct writer w[DEPTH];
    int64_t begin = clock_ns();
    int error = 0;
    for (int i = 0; i < DEPTH; i++) {
        w[i] = (struct writer){.file = file, .first = i * PIECE_BYTES, .piece = piece};
        if (pthread_create(&w[i].thread, NULL, write_pieces, &w[i]) != 0) abort();
    }
    for (int i = 0; i < DEPTH; i++) {
        pthread_join(w[i].thread, NULL);
        if (w[i].error != 0) error = w[i].error;
    }
    if (error == 0 && fdatasync(file) != 0) error = errno;
    errno = error;
    return error == 0 ? (double)(clock_ns() - begin) / 1e9 : -1;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int64_t p50(int64_t *ns)
{
    qsort(ns, ROUNDS, sizeof *ns, by_value);
    return ns[ROUNDS / 2];
}

static bool small_writes(int file, void *block, struct raw *r)
{
    static int64_t sync_ns[ROUNDS], dsync_ns[ROUNDS];
    struct iovec v = {.iov_base = block, .iov_len = BLOCK};
    for (int i = 0; i < ROUNDS; i++) {
        off_t at = (off_t)i * 2 * BLOCK;
        int64_t begin = clock_ns();
        if (pwrite(file, block, BLOCK, at) != BLOCK || fdatasync(file) != 0) return false;
        int64_t middle = clock_ns();
        if (pwritev2(file, &v, 1, at + BLOCK, RWF_DSYNC) != BLOCK) return false;
        sync_ns[i] = middle - begin;
        dsync_ns[i] = clock_ns() - middle;
    }
    r->sync_ns = (uint64_t)p50(sync_ns);
    r->dsync_ns = (uint64_t)p50(dsync_ns);
    return true;
}

bool raw_measure(const char *dir, struct raw *ret_raw, char ret_error[256])
{
    char path[4096];
    void *piece = NULL;
    bool good = false;
    snprintf(path, sizeof path, "%s/raw.tmp", dir);
    int file = open(path, O_RDWR | O_CREAT | O_TRUNC | O_DIRECT | O_CLOEXEC, 0600);
    if (file >= 0 && posix_memalign(&piece, BLOCK, PIECE_BYTES) == 0) {
        memset(piece, 0, PIECE_BYTES);
        double zeroed_s = write_all(file, piece);
        memset(piece, 0xa5, PIECE_BYTES);
        double s = -1;
        if (zeroed_s >= 0 && fsync(file) == 0 && small_writes(file, piece, ret_raw)) s = write_all(file, piece);
        ret_raw->bytes_per_s = (double)FILE_BYTES / s;
        good = s >= 0;
    }
    if (!good) snprintf(ret_error, 256, "raw probe in %.150s: %s", dir, strerror(errno));
    free(piece);
    if (file >= 0) close(file);
    unlink(path);
    return good;
}

static double change(double a, double b)
{
    double d = a > 0 ? (b - a) / a * 100 : 0;
    return d < 0 ? -d : d;
}

double raw_drift(const struct raw *before, const struct raw *after)
{
    double worst = change((double)before->sync_ns, (double)after->sync_ns);
    double other = change((double)before->dsync_ns, (double)after->dsync_ns);
    if (other > worst) worst = other;
    other = change(before->bytes_per_s, after->bytes_per_s);
    return other > worst ? other : worst;
}
