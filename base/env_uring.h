// SPDX-License-Identifier: Apache-2.0
/* The real env (env.h): one io_uring per shard, one thread that runs it, and ENV_WORKERS threads for blocking calls.
 *
 * File numbers and sockets are the process's descriptors. Minimum kernel: 6.1 (probe.h says so in words). SIGPIPE is
 * never raised by a send. Accepted and connected sockets have TCP_NODELAY. */
#pragma once
#include "base/env.h"

struct env_uring_config {   /* zero: the default */
    uint32_t sq_entries;    /* submission queue; default 512; a full queue is submitted and filled again */
    uint32_t cq_entries;    /* completion queue; default 8192; what overflows waits in the kernel, nothing is lost */
    uint32_t recv_buffers;  /* of 64 KiB, power of two; default 256; address space until used */
    uint32_t dio_align;     /* bytes, from the probe; default 4096 */
    bool dsync_cheaper;     /* from the probe */
    bool pin_cpus;          /* shard i runs on the i-th CPU the process may use */
    uint32_t trace_records; /* per shard, power of two; default 4096 */
    uint64_t memory_bytes;  /* budget per shard (mem.h); default 256 MiB */
    /* SIGTERM, SIGINT, SIGHUP, on every shard, from its loop; NULL: SIGTERM and SIGINT stop the shard. */
    void (*on_signal)(struct env *e, int signo);
};

struct env_uring_counters {
    uint64_t direct_refused; /* IO_DIRECT opens that the file system refused and that went without */
    uint64_t plain_files;    /* opens beyond the table of registered files */
    uint64_t recv_starved;   /* multishot receives that found no buffer and were armed again */
    uint64_t sq_full;        /* times the submission queue was full in the middle of a turn */
};

/* One env, shard 0 of 1, run by the calling thread. ret_error: what failed and what to do, one sentence, when the
 * status is not OK. May wait. Errors: UNSUPPORTED (kernel or sandbox refuses io_uring), TOO_MANY_FILES, NO_MEMORY. */
enum status env_uring_create(const struct env_uring_config *config, struct env **ret_env,
                             char ret_error[256]) MUST_CHECK;
/* CHECKs that no op is in flight and that the shard's memory was given back. */
void env_uring_destroy(struct env *e);

/* Runs `count` shards, one thread each; blocks until env_stop was called on each of them. start runs on each shard's
 * thread once all rings exist. Messages still under way when the receiver has stopped are dropped. The calling thread
 * takes the three signals meanwhile; its signal mask is restored. If a ring cannot be made, no start is called. */
enum status env_uring_run_shards(const struct env_uring_config *config, uint32_t count,
                                 void (*start)(struct env *e, void *arg), void *arg, char ret_error[256]) MUST_CHECK;

struct env_uring_counters env_uring_counters(const struct env *e);
