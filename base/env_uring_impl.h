// SPDX-License-Identifier: Apache-2.0
/* Inside of the real env, without liburing: env_uring.c (the ring), env_uring_worker.c (blocking calls),
 * env_uring_shards.c (threads, mailboxes, signals), env_uring_net.c (sockets without the ring). */
#pragma once
#include "base/env_uring.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

/* Defaults of env_uring_config, which the probe tries too. */
#define URING_SQ_ENTRIES 512u
#define URING_CQ_ENTRIES 8192u
/* ENOMEM at set-up: the kernel gives back a closed ring's locked memory late, also that of a process that was killed
 * and is started again; seen: under 100 ms. */
#define URING_SETUP_TRIES    50
#define URING_SETUP_PAUSE_NS (10 * NS_PER_MS)

enum status status_from_errno(int err); /* the one table; err > 0 */

/* ---- worker: threads that take calls in submission order. Uses op->impl[OP_NEXT..OP_RESULT]. ---- */
enum op_slot { OP_FLAGS, OP_NEXT, OP_STATUS, OP_RESULT };

struct op_queue {
    struct io_op *head, *tail;
};

struct worker {
    pthread_t threads[ENV_WORKERS];
    uint32_t thread_count;
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct op_queue fresh; /* the shard's alone: submitted since the last flush */
    uint32_t fresh_count;
    struct op_queue todo, finished; /* under lock */
    uint32_t idle;                  /* threads that wait; under lock */
    atomic_bool any_finished;
    bool stop; /* under lock */
    int wake_fd;
    atomic_ullong direct_refused;
};

enum status worker_start(struct worker *w, int wake_fd) MUST_CHECK;
void worker_stop(struct worker *w); /* runs what is queued, then joins */
void worker_submit(struct worker *w, struct io_op *op);
void worker_flush(struct worker *w);                  /* gives the threads what was submitted: once per turn */
struct io_op *worker_take_finished(struct worker *w); /* list by op_next, NULL if none */
struct io_op *op_next(const struct io_op *op);

/* ---- sockets ---- */
/* Leaves out as it is where the kernel does not know. */
void net_peer(int sock, char out[ENV_HOST_SIZE]);
enum status net_listen(const char *host, uint16_t port, bool shared, int32_t *ret_sock, uint16_t *ret_port);
/* "1.2.3.4:9092" or "[::1]:9092". */
enum status net_address(const char *text, struct sockaddr_in6 *ret_address, socklen_t *ret_len) MUST_CHECK;
void net_nodelay(int sock);
/* A socket to connect with: text as in net_address. */
enum status net_socket(const char *text, int *ret_sock, struct sockaddr_in6 *ret_address) MUST_CHECK;

/* ---- shards ---- */
#define MAILBOX_SLOTS 1024u

struct mailbox { /* single producer, single consumer; slots between head and tail are the consumer's */
    _Alignas(64) atomic_uint tail;
    _Alignas(64) atomic_uint head;
    struct msg *slots[MAILBOX_SLOTS];
    /* the sender's alone: what found the ring full, in order */
    _Alignas(64) struct msg *over_head;
    struct msg *over_tail;
};

struct shard_port { /* what other threads may touch of a shard */
    _Alignas(64) atomic_bool asleep;
    atomic_uint signals; /* bit set of signal_index */
    int wake_fd;
};

struct shard_group {
    uint32_t count;
    struct mailbox *boxes;    /* from * count + to */
    struct shard_port *ports; /* count */
    const struct env_uring_config *config;
};

#define SIGNALS 3
extern const int handled_signals[SIGNALS];

struct signal_msg {
    struct msg msg;
    struct signal_inbox *inbox;
    int signo;
    bool queued;
};

struct signal_inbox { /* of a shard; zeroed but for on_signal (env_uring.h) */
    void (*on_signal)(struct env *e, int signo);
    struct signal_msg msgs[SIGNALS];
};

/* Delivers what was raised since the last call as messages; true if any was. */
bool signals_take(struct signal_inbox *in, struct shard_port *port, struct env *to);

enum status group_init(struct shard_group *g, const struct env_uring_config *config, uint32_t count) MUST_CHECK;
void group_deinit(struct shard_group *g);
void group_post(struct shard_group *g, uint32_t from, uint32_t to, struct msg *m);
bool group_flush(struct shard_group *g, uint32_t from); /* true if messages are left over */
void group_wake(struct shard_group *g, uint32_t from, uint64_t *dirty);
bool group_drain(struct shard_group *g, struct env *to); /* true if any message was delivered */
bool group_pending(const struct shard_group *g, uint32_t to);

/* ---- env_uring_machine.c: clocks, configuration, memory for receive buffers ---- */
struct mono_ns uring_mono(struct env *e);
struct wall_ms uring_wall(struct env *e);
uint64_t uring_seed(void); /* from the kernel */
struct env_uring_config uring_defaults(struct env_uring_config c);
int64_t uring_process(struct env_process *ret_process); /* 0 or -errno; may block for some ms */
enum status uring_fail(int err, const char *what, char ret_error[256]) MUST_CHECK; /* never OK */
void uring_pause(int64_t ns);
void *uring_map(size_t size);           /* zeroed; NULL: no memory */
void uring_unmap(void *p, size_t size); /* p may be NULL */

/* env_uring.c */
enum status uring_create(struct shard_group *g, uint32_t shard, struct env **ret_env, char ret_error[256]) MUST_CHECK;
void uring_destroy(struct env *e);
