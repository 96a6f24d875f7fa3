// SPDX-License-Identifier: Apache-2.0
/* Reads /proc and /sys. Failure modes: what cannot be read is zero or empty; the report shows it as such. */
#include "tools/bench/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#define SECTOR_BYTES 512 /* of /sys/block/.../stat, whatever the device has */

int64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void file_system_name(const char *dir, struct machine *m)
{
    struct statfs s;
    if (statfs(dir, &s) != 0) return;
    switch ((unsigned long)s.f_type) {
    case 0xef53: snprintf(m->file_system, sizeof m->file_system, "ext4"); break;
    case 0x58465342: snprintf(m->file_system, sizeof m->file_system, "xfs"); break;
    case 0x9123683e: snprintf(m->file_system, sizeof m->file_system, "btrfs"); break;
    case 0x01021994: snprintf(m->file_system, sizeof m->file_system, "tmpfs"); break;
    default: snprintf(m->file_system, sizeof m->file_system, "0x%lx", (unsigned long)s.f_type);
    }
}

/* A partition of a disk counts no flushes: its disk does. */
static void find_device(const char *dir, struct machine *m)
{
    struct stat s;
    char path[64], target[256];
    if (stat(dir, &s) != 0) return;
    snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(s.st_dev), minor(s.st_dev));
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) return;
    target[n] = '\0';
    snprintf(m->stat, sizeof m->stat, "%s/partition", path);
    bool part = access(m->stat, F_OK) == 0;
    if (part) *strrchr(target, '/') = '\0';
    snprintf(m->stat, sizeof m->stat, "%s%s/stat", path, part ? "/.." : "");
    const char *name = strrchr(target, '/');
    snprintf(m->device, sizeof m->device, "%.60s", name == NULL ? target : name + 1);
}

void machine_look(const char *dir, struct machine *ret_machine)
{
    struct machine *m = ret_machine;
    struct utsname u;
    char line[256];
    memset(m, 0, sizeof *m);
    find_device(dir, m);
    file_system_name(dir, m);
    if (uname(&u) == 0) snprintf(m->kernel, sizeof m->kernel, "%s %s", u.sysname, u.release);
    m->cpus = sysconf(_SC_NPROCESSORS_ONLN);
    m->memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "model name : %63[^\n]", m->cpu) == 1) break;
    if (f != NULL) fclose(f);
}

static void read_disk(const struct machine *m, struct counters *c)
{
    unsigned long long v[17] = {0};
    FILE *f = m->stat[0] == '\0' ? NULL : fopen(m->stat, "r");
    if (f == NULL) return;
    for (int i = 0; i < 17 && fscanf(f, "%llu", &v[i]) == 1; i++) continue;
    fclose(f);
    c->disk_writes = v[4];
    c->disk_bytes = v[6] * SECTOR_BYTES;
    c->flushes = v[15];
}

static void read_process(struct counters *c)
{
    char line[128];
    unsigned long long n;
    FILE *f = fopen("/proc/self/io", "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "write_bytes: %llu", &n) == 1) c->own_bytes = n;
    if (f != NULL) fclose(f);
    f = fopen("/proc/self/statm", "r");
    if (f != NULL && fscanf(f, "%*u %llu", &n) == 1) c->rss_bytes = n * (uint64_t)sysconf(_SC_PAGESIZE);
    if (f != NULL) fclose(f);
}

static void read_machine_cpu(struct counters *c)
{
    unsigned long long user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0;
    FILE *f = fopen("/proc/stat", "r");
    if (f == NULL) return;
    if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle, &iowait, &irq, &softirq) == 7)
        c->machine_cpu_s = (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
    fclose(f);
}

void counters_read(const struct machine *m, struct counters *ret_counters)
{
    struct rusage r;
    struct counters *c = ret_counters;
    memset(c, 0, sizeof *c);
    c->at_ns = clock_ns();
    if (getrusage(RUSAGE_SELF, &r) == 0)
        c->cpu_s =
            (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) + (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
    read_machine_cpu(c);
    read_disk(m, c);
    read_process(c);
}

/* /proc/PID/stat: fields 14 and 15 are user and system time, 20 the threads; the name before may hold anything. */
bool process_read(int64_t pid, struct process *ret_process)
{
    char path[64], line[1024];
    unsigned long long user, system, kib;
    struct process p = {0};
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    const char *at = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
    fclose(f);
    if (at == NULL || sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %u", &user,
                             &system, &p.threads) != 3)
        return false;
    p.cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    snprintf(path, sizeof path, "/proc/%lld/status", (long long)pid);
    f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "VmRSS: %llu", &kib) == 1) p.rss_bytes = kib << 10;
        if (sscanf(line, "VmHWM: %llu", &kib) == 1) p.peak_bytes = kib << 10;
    }
    if (f != NULL) fclose(f);
    *ret_process = p;
    return true;
}
