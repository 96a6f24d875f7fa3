// SPDX-License-Identifier: Apache-2.0
/* Inside of the simulator, shared by its files: world.c (events, PRNG, trace), machine.c (process life, env ops),
 * io.c (one file op from submit to completion, faults), fs.c (names, sizes, what is durable), image.c (pages), net.c.
 */
#pragma once
#include "base/bytes.h"
#include "base/prng.h"
#include "base/sim/image.h"
#include "base/sim/sim.h"
#include "base/trace.h"
#include <stdlib.h>

#define SIM_SECTOR    512u
#define SIM_RULES_MAX 32

/* ---- world ---- */
struct sim_sock;

struct sim_event { /* embedded in its owner; heap by (time, seq) */
    int64_t time;
    uint64_t seq;
    size_t heap_index; /* 0: not scheduled */
    void (*run)(struct sim *s, struct sim_event *ev);
};

struct sim {
    struct prng sched, disk, net, clock, test;
    struct sim_config config;
    struct sim_event **heap; /* from index 1 */
    size_t heap_count, heap_capacity;
    uint64_t event_seq;
    int64_t now;
    uint64_t hash;
    struct sim_counters counters;
    struct sim_machine **machines;
    uint32_t machine_count;
    struct sim_sock **sock_table; /* by id, which is never used twice */
    uint32_t sock_count;
    struct list socks;
};

bool sim_chance(struct prng *p, uint32_t ppm); /* asks the stream even for 0 */
int64_t sim_exp(struct prng *p, int64_t mean); /* about exponential, integers only */
void sim_schedule(struct sim *s, struct sim_event *ev, int64_t time);
void sim_unschedule(struct sim *s, struct sim_event *ev); /* fine if not scheduled */
void sim_mix(struct sim *s, uint64_t v);                  /* into the trace hash */
void sim_mix_bytes(struct sim *s, const void *p, size_t n);
void *sim_alloc(size_t n); /* zeroed, never NULL */
char *sim_strdup(const char *s);

/* ---- file system ---- */
enum vop_kind { VOP_WRITE, VOP_SIZE, VOP_RESERVE };

struct vop { /* one change of a file that is in the cache and not yet on the medium; per file in order */
    struct list_node in_file;
    struct list_node in_flush; /* a device flush covers it: O_DIRECT over bytes that the medium has a place for */
    uint64_t seq;
    struct inode *inode;
    uint64_t pos, len; /* VOP_SIZE: pos is the size */
    enum vop_kind kind;
    bool grows, maps; /* made the file longer; needed blocks or turned reserved ones into written ones */
    bool direct;      /* O_DIRECT: the bytes are in the drive's cache, not in the kernel's */
    uint8_t data[];
};

struct dirent_list {
    struct sim_dirent *at; /* sorted by name */
    size_t count;
};

struct inode {
    uint32_t refs;
    uint64_t number;
    bool is_dir;
    struct sim_image cache, stable;
    struct list vops;
    struct list_node in_dirty;              /* linked while vops exist */
    struct dirent_list names, stable_names; /* directories */
    struct sim_open *lock;
};

struct sim_dirent {
    char *name;
    struct inode *inode;
};

struct name_op { /* dir[name] = inode, or nothing; volatile */
    struct list_node in_fs;
    uint64_t seq;
    uint64_t group; /* both halves of a rename inside one directory share it */
    struct inode *dir, *inode;
    char name[];
};

struct fs {
    struct sim *sim;
    struct sim_machine_config *config;
    struct inode *root;
    struct list dirty; /* inodes with vops */
    struct list flush; /* vops */
    struct list name_ops;
    uint64_t seq; /* counts every change */
    uint64_t next_inode;
    uint64_t used_pages;
    bool read_only;
};

void fs_init(struct fs *fs, struct sim *s, struct sim_machine_config *config);
void fs_deinit(struct fs *fs);
void inode_ref(struct inode *i);
void inode_unref(struct fs *fs, struct inode *i);
enum status fs_lookup(struct fs *fs, const char *path, struct inode **ret_inode); /* borrowed */
enum status fs_open(struct fs *fs, const char *path, uint32_t flags, struct inode **ret_inode);
enum status fs_mkdir(struct fs *fs, const char *path);
enum status fs_remove(struct fs *fs, const char *path, bool dir);
enum status fs_rename(struct fs *fs, const char *from, const char *to);
/* Writes into the cache and notes the volatile change. NO_SPACE writes nothing. */
enum status fs_write(struct fs *fs, struct inode *i, uint64_t pos, const void *data, uint64_t len, bool direct);
enum status fs_truncate(struct fs *fs, struct inode *i, uint64_t size);
enum status fs_reserve(struct fs *fs, struct inode *i, uint64_t pos, uint64_t len);
uint64_t fs_free_bytes(const struct fs *fs);
bool fs_name_matches(const char *glob, const char *path);

/* Durability (durable.c). upto: the value of fs->seq when the sync was submitted. */
void fs_sync_file(struct fs *fs, struct inode *i, uint64_t upto);
void fs_sync_dir(struct fs *fs, struct inode *dir, uint64_t upto);
void fs_sync_all(struct fs *fs, uint64_t upto);
void fs_sync_write(struct fs *fs, struct inode *i, uint64_t seq); /* a completed DSYNC write: the change with seq */
/* i NULL: every file. safe: up to there an earlier sync that is still under way covers. */
void fs_sync_failed(struct fs *fs, struct inode *i, uint64_t safe, uint64_t upto);
void fs_power_cut(struct fs *fs);
void fs_rot(struct fs *fs, struct inode *i, uint64_t pos, uint64_t len, bool zero);
void name_op_push(struct fs *fs, struct inode *dir, const char *name, struct inode *inode, uint64_t group);
void names_set(struct fs *fs, struct dirent_list *l, const char *name, struct inode *inode); /* NULL: remove */
void names_copy(struct fs *fs, struct dirent_list *to, const struct dirent_list *from);
void names_clear(struct fs *fs, struct dirent_list *l);
void fs_replace(struct fs *fs, struct inode *root); /* takes a reference over; everything volatile is dropped */
struct inode *inode_copy_tree(struct fs *fs, const struct inode *from); /* as cached; one reference; all stable */
void vop_free(struct vop *v);
struct inode *inode_create(struct fs *fs, bool is_dir); /* one reference */

struct sim_disk_image {
    struct fs fs; /* only its tree: cache and names */
};

/* ---- machines ---- */
struct sim_open { /* an open file description */
    struct inode *inode;
    char *path;
    uint32_t flags;
    uint32_t refs; /* descriptor + ops in flight */
};

struct sim_io { /* a file op from submit to completion */
    struct sim_event event;
    struct list_node in_shard; /* in flight, in order of submission */
    struct list_node in_calls; /* blocking calls wait for their turn here */
    bool at_work;              /* a blocking call that has begun */
    struct sim_machine *machine;
    struct sim_shard *shard;
    struct io_op *op; /* NULL: its process was killed */
    enum io_kind kind;
    struct sim_open *open; /* NULL for calls by path */
    enum sim_fault fault;
    uint64_t upto;
    int64_t latency, silence; /* silence: from a failed sync to its answer */
    uint32_t data_crc;        /* of a write's bytes when it was submitted */
    bool dead_delay;          /* never completes by itself */
    /* orphan writes: */
    void *data;
    uint64_t pos;
    uint32_t len, flags;
};

struct sim_shard {
    struct env env;
    struct sim_machine *machine;
    struct sim_event turn;
    struct list ios, calls;
    uint32_t calls_at_work;
    struct list nets, recv_ready; /* net.c: ops in flight; sockets whose last delivery has not run yet */
    int64_t *last_post;           /* arrival of the last message to each shard */
    struct prng product;
    int64_t busy_until;
    bool started, paused, stopped;
};

struct rule_state {
    struct sim_fault_rule rule;
    uint64_t seen;
};

struct sim_machine {
    struct sim *sim;
    uint32_t id;
    char *host;
    struct sim_machine_config config;
    struct fs fs;
    /* process */
    struct sim_shard *shards;
    uint32_t shard_count;
    uint64_t incarnation;
    sim_start_fn *start;
    void *start_arg;
    sim_start_fn *on_exit;
    void *on_exit_arg;
    bool running, paused, powered;
    struct sim_open **files; /* by descriptor */
    uint32_t file_capacity, file_count;
    struct list orphans; /* sim_io.in_shard: writes of killed processes */
    struct list msgs;    /* sim_msg in flight */
    /* clocks */
    int64_t mono_base, wall_base, mono_since; /* clock = base + drifted(now - since), ns */
    int32_t drift_ppm;
    /* faults */
    struct rule_state rules[SIM_RULES_MAX];
    uint32_t rule_count;
    uint64_t ops_seen;
    struct sim_watch *watch;
    struct sim_link *links; /* to each machine, by id */
    uint32_t link_count;
};

struct sim_shard *sim_shard_of(struct env *e);
/* Completes op on its shard and sees to it that the shard gets a turn. */
void sim_complete(struct sim_shard *sh, struct io_op *op, enum status status, int64_t result, bool more);
void sim_wake(struct sim_shard *sh, int64_t at);
void sim_open_unref(struct sim_machine *m, struct sim_open *o);

void sim_machine_end(struct sim_machine *m); /* its process, if any */
void sim_machine_destroy(struct sim_machine *m);

/* io.c */
void sim_io_submit(struct sim_shard *sh, struct io_op *op);
void sim_io_cancel(struct sim_shard *sh, struct io_op *op);
void sim_io_kill(struct sim_machine *m);  /* the process is gone: ops become orphans or vanish */
void sim_io_power(struct sim_machine *m); /* orphans become volatile writes, or not */
void sim_orphans_drop(struct sim_machine *m);
uint64_t sim_path_hash(const char *path);

/* link.c, net.c */
struct sim_link *sim_link_of(const struct sim_machine *from, const struct sim_machine *to);
int64_t sim_link_delay(struct sim *s, const struct sim_link *l);
/* len bytes of host; loopback and any: self. NULL: nobody has it. */
struct sim_machine *sim_machine_by_host(struct sim_machine *self, const char *host, size_t len);
void sim_net_link_changed(struct sim_machine *from, struct sim_machine *to);
void sim_net_submit(struct sim_shard *sh, struct io_op *op);
void sim_net_cancel(struct sim_shard *sh, struct io_op *op);
void sim_net_peer(struct env *e, int32_t sock, char out[ENV_HOST_SIZE]);
enum status sim_net_listen(struct sim_shard *sh, const char *host, uint16_t port, bool shared, int32_t *ret_sock,
                           uint16_t *ret_port);
void sim_net_kill(struct sim_machine *m, enum sim_kill how);
void sim_net_turn_done(struct sim_shard *sh); /* sockets whose last completion has run may get the next */
void sim_net_deinit(struct sim *s);
