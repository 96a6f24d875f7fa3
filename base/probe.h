// SPDX-License-Identifier: Apache-2.0
/* Start-up probe: can this machine and this directory carry a broker, and how does the disk want to be flushed?
 *
 * Run it once, before any shard, with the data directory (which exists). It blocks for under 100 ms on a healthy disk,
 * writes one file of 1 MiB and removes it (best effort after a crash: its name is PROBE_FILE, safe to delete), and
 * raises the process's soft limits of descriptors and of locked memory to the hard
 * ones. Nothing else is changed. */
#pragma once
#include "base/status.h"
#include <stddef.h>

#define PROBE_FILE       "leat.probe.tmp"
#define PROBE_KERNEL_MIN "6.1"
/* Descriptors without which no broker starts: rings, eventfds, journals, listeners, log and the first connections. More
 * is the caller's to ask for, from nofile. */
#define PROBE_FILES_MIN 256u
/* Free space without which no directory is opened: the probe's own file and room for the first journal blocks. */
#define PROBE_SPACE_MIN (16ull << 20)

/* Fewer rounds than that say nothing about two ways to flush: write + data sync stays, which fits every disk. */
#define PROBE_ROUNDS_TRUSTED 10u

struct probe_result {
    uint32_t kernel_major, kernel_minor;
    char file_system[16];             /* "ext4", "xfs", ..; "0x<magic>" if unknown */
    uint32_t dio_mem_align;           /* bytes: of the address of a direct read or write; 0: no O_DIRECT here */
    uint32_t dio_offset_align;        /* bytes: of its position and length; 0: no O_DIRECT here */
    uint32_t dio_align;               /* for env_uring_config: the larger of both; 4096 without O_DIRECT */
    uint32_t write_ns;                /* p50: 4 KiB into pre-zeroed, allocated blocks, no flush */
    uint32_t write_sync_ns;           /* p50: the same + fdatasync */
    uint32_t write_dsync_ns;          /* p50: the same with RWF_DSYNC */
    uint32_t rounds;                  /* of each of the three; fewer than 50 on a slow disk, at least 3; 0: full disk */
    bool dsync_cheaper;               /* as probe_dsync_cheaper says */
    uint64_t nofile;                  /* soft limit of descriptors, already raised */
    uint64_t memlock_bytes;           /* the same of locked memory; UINT64_MAX: none. Newer kernels count rings */
    uint64_t free_bytes, total_bytes; /* of the file system; free to us */
};

/* dir: borrowed. in_use: a broker's data is in it already, whose space is there: a full disk is no reason not to start
 * (who else could make room?), the rounds are just not measured. ret_error: one sentence (what, where, what to do) when
 * the status is not OK. Errors: UNSUPPORTED (kernel too old, io_uring absent or forbidden), NOT_FOUND (no such
 * directory), PERMISSION, READ_ONLY, NO_SPACE (under PROBE_SPACE_MIN), TOO_MANY_FILES (under PROBE_FILES_MIN),
 * NO_MEMORY (locked memory too small for one ring, 170 KiB, or none left), IO_ERROR. */
enum status probe_run(const char *dir, bool in_use, struct probe_result *ret_probe, char ret_error[256]) MUST_CHECK;

/* One line for the log, without line end, cut at size. */
void probe_line(const struct probe_result *p, char *line, size_t size);

/* ---- parts, for env_uring.c and tests ---- */

/* "6.1.0-18-amd64" -> 6, 1. Errors: UNSUPPORTED with a sentence: below the minimum, or no version at all. */
enum status probe_kernel(const char *release, struct probe_result *ret_probe, char ret_error[256]) MUST_CHECK;
/* A RWF_DSYNC write is to be preferred to write + data sync: it took under 1.3 times as long over enough rounds. */
bool probe_dsync_cheaper(uint32_t write_sync_ns, uint32_t write_dsync_ns, uint32_t rounds);
int probe_ring_disabled(void); /* sysctl kernel.io_uring_disabled; -1: there is none */
/* The sentence for a ring that could not be set up. err: errno value, > 0; disabled: of
 * probe_ring_disabled. Never OK. */
enum status probe_ring_refused(int err, int disabled, char ret_error[256]) MUST_CHECK;
