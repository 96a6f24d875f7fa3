// SPDX-License-Identifier: Apache-2.0
/* env: the only way out. Clock, disk, network, random numbers, messages between shards and blocking calls all go
 * through this seam; there are two implementations, io_uring (env_uring.c) and the simulator (sim/). One env per shard;
 * one thread runs it; nothing here may be called from another thread.
 *
 * The seam sits at submission/completion level, not at "write this file" level: short writes, cancellations and
 * completions in any order are the caller's to handle, so the simulator can produce them all.
 *
 * An I/O is a struct io_op embedded in its owner. Life: the owner fills the arguments, calls env_submit; later, from
 * the loop and never inside env_submit, the op completes exactly once (multishot ops: once per event, `more` says
 * whether others follow). On completion status and result are set and
 *   - if op->task is set: the task's pending_ops falls by one and at zero the waiting task is woken;
 *   - otherwise op->done(op) is called; the owner is found by container_of.
 * Arguments (paths, buffers) must stay valid and unchanged until then. Cancel means "please finish early": the op still
 * completes, with STATUS_CANCELED or with what it did before.
 *
 * Order: none is promised between ops in flight, also not between a write and a later data sync. A data sync covers the
 * writes that were complete before it was submitted, on any file of the device as far as the device's write cache goes,
 * and of this file as far as the file system goes.
 *
 * One turn of the loop (env_turn): reap completions, run due timers, run messages, run ready stages (bounded), run the
 * turn hooks (the batching pass: seal journal commits, one send per connection); if these made stages ready, run those
 * and the hooks once more; submit and wait. */
#pragma once
#include "base/clock.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/stage.h"
#include "base/status.h"
#include <sys/uio.h>

struct env;
struct io_op;

/* A slow call (a sync of a whole file system) must not hold up the others, and making files is bound by the CPU time of
 * the kernel, not by the disk: more than one; few, because they contend for the same directory and the same journal. */
#define ENV_WORKERS 4

#define ENV_HOST_SIZE 48 /* a numeric IPv4 or IPv6 address with its NUL */

enum io_kind {
    /* files, by the ring */
    IO_READ,     /* file, data, len, pos -> result: bytes read (short at the end of the file, or at any time) */
    IO_WRITE,    /* file, data, len, pos, flags (IO_DSYNC) -> result: bytes written, may be short */
    IO_DATASYNC, /* file: fdatasync; never retried by anybody when it fails */
    /* sockets, by the ring */
    IO_ACCEPT,  /* sock (listener), multishot -> result: the new socket */
    IO_CONNECT, /* path "host:port" (numeric IPv4/IPv6) -> result: the new socket */
    IO_RECV,    /* sock, multishot -> data, result: bytes (0: peer closed its side); data borrowed until done returns */
    IO_SEND,    /* sock, iov, iov_count -> result: bytes sent, may be short */
    IO_SHUTDOWN,     /* sock: both directions; pending recv and send end */
    IO_CLOSE_SOCKET, /* sock: after its other ops have ended */
    IO_POLL, /* sock: a descriptor that a library owns (its epoll set) is readable, or was when this was submitted;
                once. Only the file that wraps the library uses the descriptor, and it ends the op before the library
                closes it. The real env only: in the simulator a CHECK, such a library stays switched off there */
    /* calls that block: ENV_WORKERS at once per env; they begin in submission order and end in any */
    IO_OPEN,     /* path, flags -> result: file */
    IO_CLOSE,    /* file */
    IO_SYNC,     /* file: fsync (data, size and all metadata of that file) */
    IO_SYNC_DIR, /* path: fsync of a directory: makes names in it durable */
    IO_SYNC_FS,  /* file: syncfs of its file system */
    IO_TRUNCATE, /* file, pos: new size */
    IO_ALLOCATE, /* file, pos, len: reserve space (fallocate, size grows) */
    IO_LOCK,     /* file: exclusive flock on its open file description; STATUS_LOCKED at once if held elsewhere */
    IO_RENAME,   /* path -> path2, replaces */
    IO_UNLINK,   /* path */
    IO_MKDIR,    /* path; STATUS_EXISTS */
    IO_RMDIR,    /* path; must be empty */
    IO_LIST,     /* path, data, len: names NUL-terminated one after another, sorted by bytes, without . and ..
                    -> result: bytes used; STATUS_BUSY if len is too small */
    IO_STAT,     /* path -> result: size in bytes, is_dir */
    IO_SPACE,    /* path -> result: bytes free to us on its file system; total_bytes */
    IO_PROCESS,  /* data (struct env_process): what this process uses; the real env only, else UNSUPPORTED */
};

enum io_flags {
    IO_DSYNC = 1 << 0,    /* IO_WRITE: RWF_DSYNC, durable when complete */
    IO_CREATE = 1 << 1,   /* IO_OPEN: create if missing (mode 0640) */
    IO_EXCL = 1 << 2,     /* IO_OPEN with IO_CREATE: STATUS_EXISTS if there */
    IO_DIRECT = 1 << 3,   /* IO_OPEN: O_DIRECT: data, len and pos of each read and write multiples of env->dio_align */
    IO_READONLY = 1 << 4, /* IO_OPEN: no writes */
};

struct env_process { /* IO_PROCESS */
    uint64_t cpu_ns; /* user and system, all threads */
    uint64_t resident_bytes, virtual_bytes;
    uint64_t files_open, files_max; /* descriptors */
};

struct io_op {
    struct list_node in_env; /* env's own: in flight or completed */
    enum io_kind kind;
    uint32_t flags;
    struct task *task;              /* woken at completion, or */
    void (*done)(struct io_op *op); /* called at completion */
    /* arguments, by kind */
    int32_t file, sock;
    void *data;
    uint64_t pos;
    uint32_t len;
    uint32_t iov_count;
    const struct iovec *iov;
    const char *path, *path2;
    /* results */
    int64_t result;
    uint64_t total_bytes;
    enum status status;
    bool is_dir;
    bool more;      /* multishot: further completions follow */
    bool in_flight; /* between env_submit and the last completion */
    /* for the implementation */
    uint64_t impl[6];
};

struct timer { /* embedded in the owner */
    struct mono_ns deadline;
    void (*fire)(struct timer *t);     /* from the loop */
    struct timer *child, *next, *prev; /* env's own, from here on: pairing heap */
    uint64_t seq;                      /* order of arming: equal deadlines fire in it */
    bool armed;
};

struct msg { /* to another shard of the same process; embedded in the owner, who must not touch it until it comes back
              */
    struct msg *next;
    void (*run)(struct env *to, struct msg *m); /* on the receiving shard */
    uint32_t from;                              /* sending shard */
};

struct turn_hook { /* runs in each turn, in the order of registration: the batching pass */
    struct list_node in_env;
    void (*run)(struct turn_hook *h);
};

struct env_ops {
    void (*submit)(struct env *e, struct io_op *op);
    void (*cancel)(struct env *e, struct io_op *op);
    struct mono_ns (*mono)(struct env *e);
    struct wall_ms (*wall)(struct env *e);
    uint64_t (*random)(struct env *e);
    void (*post)(struct env *e, uint32_t shard, struct msg *m);
    /* Blocks: binds and listens. port 0: any free one. shared: others, too, may listen on the same port (SO_REUSEPORT),
     * as the shards do; not shared: ADDRESS_IN_USE if anybody listens there. */
    enum status (*listen)(struct env *e, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                          uint16_t *ret_port);
    /* Numeric address of the other end of an accepted socket. */
    void (*peer)(struct env *e, int32_t sock, char out[ENV_HOST_SIZE]);
    /* Submits what is queued and waits for completions until `deadline` (v = INT64_MAX: for ever); hands completed ops
     * to env_complete and messages to env_deliver. Returns early when either came. */
    void (*wait)(struct env *e, struct mono_ns deadline);
};

struct env {
    const struct env_ops *ops;
    struct mem *mem;
    struct runner *runner;
    struct trace *trace;
    uint32_t shard, shard_count;
    uint32_t dio_align;   /* bytes; alignment that IO_DIRECT asks for; 4096 in the simulator */
    uint32_t descriptors; /* that this shard may have open: its share of the process's limit */
    bool dsync_cheaper;   /* start-up probe: a RWF_DSYNC write beats write + data sync */
    struct mono_ns now;   /* read once per turn: one time per step */
    struct wall_ms now_wall;
    struct list completed; /* io_ops to run */
    struct msg *inbox_head, *inbox_tail;
    struct list hooks;
    struct timer *timers; /* root of the heap by (deadline, arming order) */
    uint64_t timer_seq;
    bool stop; /* set by env_stop: env_run returns after this turn */
    uint32_t ops_in_flight;
    void *user; /* the shard's root object */
};

/* Shared by both implementations (env.c). The implementation fills shard.., runner, dio_align, descriptors, user and,
 * before any code of the shard runs, now; env_init leaves them alone. env_deinit CHECKs that nothing is in flight. */
void env_init(struct env *e, const struct env_ops *ops, struct mem *mem, struct trace *trace);
void env_deinit(struct env *e);

void env_submit(struct env *e, struct io_op *op); /* CHECKs that it is not in flight and has one of task and done */
void env_cancel(struct env *e, struct io_op *op);
static inline bool io_op_in_flight(const struct io_op *op)
{
    return op->in_flight;
}

void env_timer_start(struct env *e, struct timer *t, struct mono_ns deadline); /* re-arms if armed */
void env_timer_stop(struct env *e, struct timer *t);                           /* fine if not armed */
bool env_timer_armed(const struct timer *t);

void env_post(struct env *e, uint32_t shard, struct msg *m); /* to oneself too; FIFO per pair of shards */
uint64_t env_random(struct env *e);
enum status env_listen(struct env *e, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                       uint16_t *ret_port) MUST_CHECK;
/* "unknown" where it is not known any more. */
void env_peer(struct env *e, int32_t sock, char out[ENV_HOST_SIZE]);
void env_hook_add(struct env *e, struct turn_hook *h);
void env_hook_remove(struct env *e, struct turn_hook *h);
void env_stop(struct env *e);

/* One turn; waits for at most until `deadline` when there is nothing to do. */
void env_turn(struct env *e, struct mono_ns deadline);
/* Turns until env_stop. */
void env_run(struct env *e);
/* True if a turn would have work without waiting (the simulator asks); timers as of the last turn's now. */
bool env_has_work(const struct env *e);
/* Deadline of the earliest timer, INT64_MAX if none. */
struct mono_ns env_next_deadline(const struct env *e);

/* For the implementations: op has its status and result. `more` stays true for multishot ops that go on; an event that
 * comes while the op's last one has not run yet (in_env is linked) must be held back until it has. */
void env_complete(struct env *e, struct io_op *op, enum status status, int64_t result, bool more);
void env_deliver(struct env *e, struct msg *m);
