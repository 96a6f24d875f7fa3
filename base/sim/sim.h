// SPDX-License-Identifier: Apache-2.0
/* The simulator: the second implementation of env. A world of machines in one process, one thread, driven by one seed
 * in discrete time; product code above env.h runs unchanged. The same seed and the same calls give the same trace hash,
 * wherever memory lies. README.md in this folder says what is modelled and what is not.
 *
 *   struct sim *s = sim_create(&(struct sim_config){.seed = 7});
 *   struct sim_machine *m = sim_machine_create(s, "10.0.0.1", NULL);
 *   sim_boot(m, 2, start, &arg);          // start(env, arg) once per shard
 *   sim_run_until(s, 10 * NS_PER_S);
 *   sim_kill(m, SIM_POWER);
 *   sim_boot(m, 2, start, &arg);
 *
 * Not thread-safe. Everything in this header is called from outside the product, between two events (also from sim_at),
 * except the queries and sim_fault_*, sim_link_*, sim_clock_*, which are fine anywhere. A test may also make env calls
 * from outside, as a stage would (sim_env). */
#pragma once
#include "base/env.h"

struct sim;
struct sim_machine;
struct sim_disk_image; /* a copy of a disk at one moment, for roll-back */

/* ---- world ---- */
struct sim_config {
    uint64_t seed;
    int64_t turn_min_ns, turn_max_ns; /* cost of one turn of a shard; 0: 1-5 us */
};

struct sim_counters {
    uint64_t events, turns, ops, messages;
    uint64_t sectors_dropped, sectors_torn, sectors_kept; /* at power cuts */
    uint64_t names_dropped;                               /* name changes lost at power cuts */
    uint64_t flush_drops;                                 /* writes of other files that a failed flush took along */
    uint64_t orphan_writes;                               /* writes of a killed process that landed after it */
    uint64_t faults[32];                                  /* injected, by enum sim_fault */
    uint64_t connections, resets, cut_sends, fragments;
};

struct sim *sim_create(const struct sim_config *config);
void sim_destroy(struct sim *s); /* machines too; processes that still run are dropped as by a kill */

int64_t sim_now(const struct sim *s);         /* ns since the world began */
uint64_t sim_trace_hash(const struct sim *s); /* over every event so far */
const struct sim_counters *sim_counters(const struct sim *s);
/* A number for the test's own decisions: a stream apart, so that asking changes nothing else. */
uint64_t sim_random(struct sim *s);

bool sim_step(struct sim *s);                       /* runs the next event; false: none is left */
void sim_run_until(struct sim *s, int64_t time_ns); /* runs all events up to then; afterwards it is that time */
/* Until pred says true (asked after each event) or the time has come or nothing is left; what pred said last. */
bool sim_run_while_not(struct sim *s, bool (*pred)(void *arg), void *arg, int64_t time_ns);
/* Calls fn(arg) once at that time, as an event of its own (scripts of faults). */
void sim_at(struct sim *s, int64_t time_ns, void (*fn)(void *arg), void *arg);

/* ---- machines ---- */
enum sim_names {
    SIM_EXT4_ORDERED, /* names, sizes and block maps become durable in order, at the next sync of anything */
    SIM_WEAK_POSIX, /* size and block map: only by a sync of that file; a name: only by IO_SYNC_DIR of its directory */
};

struct sim_machine_config {
    enum sim_names names;
    bool dsync_flushes; /* a completed IO_DSYNC write flushes the device as IO_DATASYNC does (a device without FUA);
                           else it makes only its own bytes (and its file's size) durable */
    bool dsync_cheaper; /* what env->dsync_cheaper says */
    uint64_t capacity_bytes;                     /* 0: 1 TiB */
    uint32_t max_files;                          /* open files per process; 0: 65,536 */
    uint64_t mem_bytes;                          /* mem_create budget per shard; 0: 1 GiB */
    int64_t read_ns, write_ns, sync_ns, call_ns; /* minimum latency by class; 0: 15, 20, 150, 10 us. As much again is
                                                    added on average, exponentially */
    int64_t linger_ns;                           /* how long writes of a killed process may still land; 0: 5 ms */
    int32_t drift_ppm;                           /* of both clocks */
    int64_t wall_offset_ms;                      /* wall time at world time 0; 0: 1,700,000,000,000 */
};

/* host: numeric address for IO_CONNECT, unique; copied. config NULL: all defaults (ext4-ordered). */
struct sim_machine *sim_machine_create(struct sim *s, const char *host, const struct sim_machine_config *config);
const struct sim_machine_config *sim_machine_config(const struct sim_machine *m);

typedef void sim_start_fn(struct env *e, void *arg);
/* Starts a process of n shards; start runs on each, in the world's order, before that shard's first turn. CHECKs that
 * no process runs. When every shard has called env_stop, the process exits: memory is dropped as by a kill. */
void sim_boot(struct sim_machine *m, uint32_t shards, sim_start_fn *start, void *arg);
/* Calls fn(env, arg) on each shard that has called env_stop, at the end of that turn: what it leaves behind is still
 * there to be looked at; it may destroy runner and trace. NULL: nobody. */
void sim_on_exit(struct sim_machine *m, sim_start_fn *fn, void *arg);

/* Memory budget per shard of the processes booted from now on. */
void sim_memory(struct sim_machine *m, uint64_t bytes);

enum sim_kill {
    SIM_KILL,  /* the process only (kill -9): completed writes stay in the cache, those in flight may still land within
                  linger_ns, and file locks are held until they have; peers see closed connections */
    SIM_POWER, /* every volatile sector is kept, dropped or torn, each on its own; names by sim_names; peers see silence
                */
};
/* No callback of the product runs any more; each shard's memory is dropped by mem_abandon. A power cut also hits what a
 * killed process left behind: sim_kill(SIM_POWER) is right without a process, too. */
void sim_kill(struct sim_machine *m, enum sim_kill how);
void sim_pause(struct sim_machine *m); /* no turns; kernel, disk and network go on */
void sim_resume(struct sim_machine *m);
void sim_pause_shard(struct sim_machine *m, uint32_t shard, bool paused); /* one stuck core */
bool sim_running(const struct sim_machine *m);                            /* a process exists (also a paused one) */
struct env *sim_env(struct sim_machine *m, uint32_t shard);
/* A turn of that shard now: after calls from outside, which only queue work and do not end its sleep. */
void sim_nudge(struct sim_machine *m, uint32_t shard);

/* ---- clocks ---- */
void sim_clock_jump(struct sim_machine *m, int64_t ms); /* the wall clock only */
void sim_clock_drift(struct sim_machine *m, int32_t ppm);

/* ---- disk at rest; CHECK that no process runs unless said otherwise ---- */
/* The copy holds what is in the cache (what a power cut now, with luck, would keep). Fine at any time. */
struct sim_disk_image *sim_disk_snapshot(struct sim_machine *m);
void sim_disk_image_free(struct sim_disk_image *i);
void sim_disk_restore(struct sim_machine *m, const struct sim_disk_image *i); /* a rolled-back disk; i stays */
void sim_disk_wipe(struct sim_machine *m);                                    /* a new, empty disk */
void sim_disk_capacity(struct sim_machine *m, uint64_t bytes);                /* any time: quota change */
void sim_disk_read_only(struct sim_machine *m, bool read_only);               /* any time: remounted read-only */
uint64_t sim_disk_used(const struct sim_machine *m);                          /* any time: bytes */

/* Files as they lie on the disk, durable at once. Reads are fine at any time and see the cache. */
enum status sim_file_read(struct sim_machine *m, const char *path, uint64_t pos, void *data, uint32_t len) MUST_CHECK;
enum status sim_file_write(struct sim_machine *m, const char *path, uint64_t pos, const void *data,
                           uint32_t len) MUST_CHECK; /* creates, with parents, and grows */
enum status sim_file_size(struct sim_machine *m, const char *path, uint64_t *ret_size) MUST_CHECK;
enum status sim_file_truncate(struct sim_machine *m, const char *path, uint64_t size) MUST_CHECK;
enum status sim_file_remove(struct sim_machine *m, const char *path) MUST_CHECK; /* a directory with all below it */
enum status sim_dir_make(struct sim_machine *m, const char *path) MUST_CHECK;    /* with parents; fine if there */
/* Each entry of a directory, sorted by bytes. */
enum status sim_file_list(struct sim_machine *m, const char *path, void (*fn)(const char *name, bool is_dir, void *arg),
                          void *arg) MUST_CHECK;

/* ---- faults ---- */
enum sim_fault {
    SIM_FAULT_NONE,
    SIM_FAULT_EIO,       /* read, write, any call: STATUS_IO_ERROR. A write may have reached some sectors. A sync: each
                            dirty piece is lost or written, all are marked clean, the cache may go back to the disk */
    SIM_FAULT_NO_SPACE,  /* STATUS_NO_SPACE */
    SIM_FAULT_READ_ONLY, /* STATUS_READ_ONLY */
    SIM_FAULT_TOO_MANY,  /* IO_OPEN: STATUS_TOO_MANY_FILES */
    SIM_FAULT_SHORT,     /* read, write: fewer bytes than asked (IO_DIRECT: still whole 4 KiB), at least one unit */
    SIM_FAULT_FLIP_READ, /* read: one bit differs, once */
    SIM_FAULT_FLIP_REST, /* write: one bit of it is stored wrong; read: one bit of the range rots first */
    SIM_FAULT_ZERO,      /* write: one sector of it is stored as zeros; read: one rots to zeros first */
    SIM_FAULT_LOST,      /* write: acknowledged, never there */
    SIM_FAULT_WRONG_OFFSET, /* write: lands at another 4 KiB block of the file */
    SIM_FAULT_WRONG_FILE,   /* write: lands in another file of the disk */
    SIM_FAULT_STALL,        /* completes only after delay_ns (default 30 s); INT64_MAX: never */
    SIM_FAULT_COUNT
};

struct sim_fault_rule {
    enum sim_fault fault;
    uint64_t kinds;   /* bit set of 1 << enum io_kind; 0: every kind to which the fault applies */
    const char *path; /* glob over the whole path (* matches / too); NULL: any; must outlive the rule */
    uint64_t nth;     /* first matching op that gets it, counted from 1 at the time the rule is added; 0: by chance */
    uint64_t count;   /* how many in a row from the nth; 0: one; UINT64_MAX: all */
    uint32_t chance_ppm; /* with nth 0: of each matching op */
    int64_t delay_ns;    /* the op takes so much longer (EIO of a sync: it fails, and so much later says so); STALL:
                            default 30 s, INT64_MAX: never ends */
};
/* At most 32 rules per machine; the first that hits an op wins. */
void sim_fault_add(struct sim_machine *m, const struct sim_fault_rule *rule);
void sim_fault_clear(struct sim_machine *m);
/* One-shot count of ops that matched a rule's pattern so far would be `nth` of: file ops that this machine submitted.
 */
uint64_t sim_fault_ops(const struct sim_machine *m);

/* ---- watching ---- */
/* Told of every file op of the machine's process when it is submitted (begins) and when it has had its effect; for
 * traces of stories. path: as the file was opened, or the call's own; status is OK at the beginning. */
struct sim_watch {
    void (*op)(struct sim_watch *w, enum io_kind kind, const char *path, bool begins, enum status status);
};
void sim_watch(struct sim_machine *m, struct sim_watch *w); /* NULL: nobody; one at a time */

/* ---- network ---- */
struct sim_link {            /* one direction */
    int64_t min_ns, mean_ns; /* delay = min + exponential of that mean; 0: 50 us + 50 us (5 + 5 inside a machine) */
    uint64_t bytes_per_s;    /* 0: unbounded */
    uint32_t window_bytes;   /* sent and not yet taken by the receiver; 0: 256 KiB. At the limit IO_SEND waits */
    uint32_t reset_ppm;      /* chance per send that the connection is lost */
    uint32_t short_ppm;      /* chance per send that it completes short (cut at any byte) */
    uint32_t fragment_ppm;   /* chance per receive that it gets only a part of what is there */
    bool cut;                /* partition: nothing arrives until it is healed; new connections time out */
};
void sim_link_set(struct sim_machine *from, struct sim_machine *to, const struct sim_link *link);
struct sim_link sim_link_get(const struct sim_machine *from, const struct sim_machine *to);
void sim_link_cut(struct sim_machine *from, struct sim_machine *to, bool cut); /* one direction */
void sim_partition(struct sim_machine *a, struct sim_machine *b, bool cut);    /* both directions */
/* Resets every connection between the two (or inside one); returns how many. */
unsigned sim_net_reset(struct sim_machine *a, struct sim_machine *b);
