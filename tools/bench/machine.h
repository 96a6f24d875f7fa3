// SPDX-License-Identifier: Apache-2.0
/* What the kernel counts: CPU, the disk below a directory, memory; and what machine this is. Linux only. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct counters {
    int64_t at_ns;        /* monotonic */
    double cpu_s;         /* of this process, all threads, user and system */
    double machine_cpu_s; /* of all processes, idle and wait for I/O left out */
    uint64_t disk_bytes;  /* written to the device, by anybody */
    uint64_t disk_writes; /* requests */
    uint64_t flushes;     /* by anybody; 0 where the kernel does not say */
    uint64_t own_bytes;   /* what this process had written (metadata of the file system left out) */
    uint64_t rss_bytes;   /* now */
};

struct machine {
    char stat[96];   /* the device's counters; empty: not found */
    char device[64]; /* its name */
    char file_system[32];
    char kernel[144];
    char cpu[64];
    long cpus;
    uint64_t memory_bytes;
};

int64_t clock_ns(void); /* monotonic */
void machine_look(const char *dir, struct machine *ret_machine);
void counters_read(const struct machine *m, struct counters *ret_counters);

struct process {  /* another one */
    double cpu_s; /* user and system, its threads included, ended children not */
    uint64_t rss_bytes, peak_bytes;
    uint32_t threads;
};

bool process_read(int64_t pid, struct process *ret_process); /* false: there is no such process (any more) */
