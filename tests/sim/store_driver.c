// SPDX-License-Identifier: Apache-2.0
/* One run of random use:
 *
 *   machine and settings by the seed: name strength, flush behaviour, ring and segment sizes, 1-2 shards, 1-8
 * partitions 3-7 lives: start -> everything promised is there -> operations under one kind of fault -> clean stop,
 * kill, power cut last start without faults, then a clean stop, then all is read once more
 *
 * A start may itself be cut short by a crash or a failed I/O; it may fail only when something was injected. */
#include "tests/sim/store_driver.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/prng.h"
#include "storage/cleaner.h"
#include <stdio.h>
#include <stdlib.h>

#define STUCK_NS    (300 * NS_PER_S)
#define BATCH_BYTES (96u << 10)

enum trouble { NO_TROUBLE, SHORT_IO, SLOW_DISK, FULL_DISK, SEGMENT_FULL, WRITE_ERROR, READ_ERROR, STALLED, TROUBLES };

/* --- start --- */

static void count_rounds(struct driver *d)
{
    for (uint32_t i = 0; i < d->w.shards; i++) {
        if (d->w.stores[i] == NULL) continue;
        const struct cleaner_counters *c = cleaner_counters(d->w.stores[i]->cleaner);
        d->totals->rounds += c->rounds;
        d->totals->swaps += c->swaps;
    }
}

static void crash(struct driver *d, bool power)
{
    count_rounds(d);
    sim_kill(d->w.machine, power ? SIM_POWER : SIM_KILL);
    if (power)
        d->totals->power_cuts++;
    else
        d->totals->kills++;
    if (d->trace) {
        printf("%.6f %s\n", (double)sim_now(d->w.sim) / 1e9, power ? "power cut" : "kill");
        driver_list(d, "/data");
    }
    driver_forget(d);
    for (uint32_t i = 0; i < d->part_count; i++) {
        d->parts[i].p = NULL;
        d->parts[i].creating = d->parts[i].cutting = false;
    }
}

static bool boot_ended(struct driver *d)
{
    const char *error;
    if (!sim_run_while_not(d->w.sim, world_opened, &d->w, sim_now(d->w.sim) + STUCK_NS))
        driver_broken(d, NULL, "the start hangs");
    if (world_open_status(&d->w, &error) == STATUS_OK) return true;
    if (d->trace) printf("start: %s\n", error);
    if (!d->io_faults && !d->no_space) driver_broken(d, NULL, model_wrong("no start: %s", error));
    return false;
}

/* Until it is up: some starts are cut short, by a crash or a failed I/O. */
static void boot(struct driver *d, bool hard)
{
    static const uint64_t writes = 1 << IO_WRITE | 1 << IO_SYNC | 1 << IO_READ | 1 << IO_OPEN | 1 << IO_DATASYNC;
    for (int tries = 0;; tries++) {
        bool cut = hard && tries < 3 && driver_chance(d, 25), fail = hard && tries < 3 && driver_chance(d, 15);
        d->io_faults = fail;
        if (fail)
            sim_fault_add(d->w.machine, &(struct sim_fault_rule){
                                            .fault = SIM_FAULT_EIO, .kinds = writes, .nth = 1 + driver_pick(d, 60)});
        world_boot_begin(&d->w, d->w.shards);
        if (cut) {
            sim_run_until(d->w.sim, sim_now(d->w.sim) + (int64_t)driver_pick(d, 20 * NS_PER_MS));
            crash(d, driver_chance(d, 50));
        } else if (boot_ended(d)) {
            break;
        } else {
            d->totals->failed_starts++;
            crash(d, driver_chance(d, 50));
        }
        sim_fault_clear(d->w.machine);
    }
    sim_fault_clear(d->w.machine);
}

/* --- partitions --- */

static void find_part(struct driver *d, struct driver_part *part)
{
    part->p = world_find(&d->w, part->topic, part->number);
    if (part->p == NULL) {
        if (part->made) driver_broken(d, part, "the partition is gone");
        return;
    }
    part->made = true;
    part->wants_epoch = true;
    if (partition_status(part->p) == STATUS_DAMAGED) driver_broken(d, part, "damaged, but nothing was damaged");
    if (part->retains) part->log.log_start_accepted = MAX(part->log.log_start_accepted, partition_log_end(part->p));
    const char *wrong =
        model_restart(&part->log, partition_log_start(part->p), partition_log_end(part->p), partition_epoch(part->p));
    if (wrong != NULL) driver_broken(d, part, wrong);
    part->log.high_watermark_seen = partition_high_watermark(part->p);
    if (part->log.replicated) partition_replicated(part->p, part->log.log_end);
    if (partition_high_watermark(part->p) != part->log.log_end)
        driver_broken(d, part, "the watermark is not the end of what was read back");
}

static void create_some(struct driver *d)
{
    for (uint32_t i = 0; i < d->part_count; i++) {
        struct driver_part *part = &d->parts[i];
        if (part->p != NULL || !driver_chance(d, 70)) continue;
        part->p = world_create(&d->w, part->topic, part->number);
        part->made = part->p != NULL;
        if (part->made && part->log.replicated) partition_replicated(part->p, 0);
        if (part->made) driver_configure(d, part);
    }
}

static void check_all(struct driver *d)
{
    for (uint32_t i = 0; i < d->part_count; i++) find_part(d, &d->parts[i]);
    for (uint32_t i = 0; i < d->part_count; i++)
        if (d->parts[i].p != NULL) driver_verify(d, &d->parts[i]);
    for (uint32_t i = 0; i < d->part_count; i++)
        if (d->parts[i].p != NULL) driver_configure(d, &d->parts[i]);
}

/* --- trouble --- */

static void give_trouble(struct driver *d, enum trouble trouble)
{
    struct sim_machine *m = d->w.machine;
    const uint64_t io = 1 << IO_READ | 1 << IO_WRITE;
    const uint64_t kinds[] = {1 << IO_WRITE, 1 << IO_DATASYNC, 1 << IO_SYNC, 1 << IO_SYNC_DIR, 1 << IO_TRUNCATE, 0};
    struct sim_fault_rule rule = {.kinds = io, .chance_ppm = 50000};
    if (d->trace) printf("%.6f trouble %d\n", (double)sim_now(d->w.sim) / 1e9, trouble);
    d->io_faults |= trouble == WRITE_ERROR || trouble == STALLED || trouble == READ_ERROR; /* of metadata: fences too */
    d->read_faults = trouble == READ_ERROR;
    d->no_space = trouble == FULL_DISK || trouble == SEGMENT_FULL;
    switch (trouble) {
    case SHORT_IO: rule.fault = SIM_FAULT_SHORT; break;
    case SLOW_DISK:
        rule.fault = SIM_FAULT_STALL;
        rule.kinds = io | 1 << IO_DATASYNC | 1 << IO_SYNC;
        rule.delay_ns = 20 * NS_PER_MS;
        break;
    case FULL_DISK: sim_disk_capacity(m, sim_disk_used(m) + driver_pick(d, 256 << 10)); return;
    case SEGMENT_FULL:
        rule.fault = SIM_FAULT_NO_SPACE;
        rule.kinds = 1 << IO_WRITE;
        rule.path = "*/t?-*";
        rule.chance_ppm = 400000;
        break;
    case WRITE_ERROR:
        rule = (struct sim_fault_rule){
            .fault = SIM_FAULT_EIO, .kinds = kinds[driver_pick(d, COUNT_OF(kinds))], .nth = 1 + driver_pick(d, 150)};
        break;
    case READ_ERROR:
        rule.fault = SIM_FAULT_EIO;
        rule.kinds = 1 << IO_READ;
        break;
    case STALLED:
        rule = (struct sim_fault_rule){.fault = SIM_FAULT_STALL,
                                       .kinds = 1 << IO_WRITE | 1 << IO_DATASYNC,
                                       .path = "*/ring-*",
                                       .nth = 1 + driver_pick(d, 200),
                                       .delay_ns = 20 * NS_PER_S};
        break;
    case NO_TROUBLE:
    case TROUBLES: return;
    }
    sim_fault_add(m, &rule);
}

static void end_trouble(struct driver *d)
{
    sim_fault_clear(d->w.machine);
    sim_disk_capacity(d->w.machine, 1ull << 40);
    if (d->no_space) d->space_ns = sim_now(d->w.sim) + 2 * NS_PER_S;
    d->no_space = d->read_faults = false;
}

static bool idle(void *arg)
{
    return ((struct driver *)arg)->op_count == 0;
}

static void drain(struct driver *d)
{
    if (!sim_run_while_not(d->w.sim, idle, d, sim_now(d->w.sim) + STUCK_NS))
        driver_broken(d, NULL, "an operation is never answered");
}

static void work(struct driver *d)
{
    uint64_t steps = 50 + driver_pick(d, 500), pace = 1ull << (10 + driver_pick(d, 12)); /* 1 us to 2 ms apart */
    uint64_t trouble_at = driver_pick(d, steps), trouble_ends = trouble_at + driver_pick(d, steps);
    enum trouble trouble = driver_chance(d, 50) ? NO_TROUBLE : (enum trouble)driver_pick(d, TROUBLES);
    for (uint64_t i = 0; i < steps; i++) {
        if (i == trouble_at) give_trouble(d, trouble);
        if (i == trouble_ends && !d->io_faults) {
            world_pass(&d->w, (int64_t)driver_pick(d, NS_PER_S));
            bool full = d->no_space; /* some are answered only now */
            end_trouble(d);
            d->no_space = full;
            world_pass(&d->w, 1500 * NS_PER_MS); /* until the store has seen the room */
            d->no_space = false;
        }
        driver_step(d);
        world_pass(&d->w, (int64_t)driver_pick(d, pace));
        if (driver_chance(d, 1)) world_pass(&d->w, (int64_t)driver_pick(d, 100 * NS_PER_MS));
    }
    d->totals->fences += disk_fenced(&d->w.disk);
}

/* A round later retention has done its part: what is left is at most retention.bytes and the front segment. */
static void check_retention(struct driver *d)
{
    const uint64_t segment_most = (576 + 80) << 10; /* of all settings there were */
    world_pass(&d->w, 2 * d->w.config.retention_check_ms * NS_PER_MS + NS_PER_S);
    driver_look(d);
    for (uint32_t i = 0; i < d->part_count && !disk_fenced(&d->w.disk); i++) {
        struct driver_part *part = &d->parts[i];
        if (part->p == NULL || partition_high_watermark(part->p) < part->log.log_end) continue;
        const struct partition_settings *s = partition_settings(part->p);
        if (s->deletes && s->retention_bytes >= 0 &&
            partition_size_bytes(part->p) > (uint64_t)s->retention_bytes + segment_most)
            driver_broken(d, part, "more than retention.bytes is left");
    }
}

static void stop_cleanly(struct driver *d)
{
    drain(d);
    if (driver_chance(d, 50)) check_retention(d);
    count_rounds(d);
    d->stopping = true;
    for (uint32_t i = 0; i < d->part_count; i++) d->parts[i].p = NULL;
    enum status status = world_stop(&d->w);
    if (status != STATUS_OK && !d->io_faults) driver_broken(d, NULL, model_wrong("stop: %s", status_text(status)));
    d->stopping = false;
    d->totals->clean_stops++;
}

/* Fault D24: an index file rots or vanishes between two starts; nobody may notice. */
static void rot_index(const char *name, bool is_dir, void *arg)
{
    struct driver *d = arg;
    char path[128];
    uint64_t size;
    uint8_t byte = (uint8_t)driver_pick(d, 256);
    if (strstr(name, ".lidx") == NULL || !driver_chance(d, 50)) return;
    snprintf(path, sizeof path, "%s/%s", d->rotting, name);
    CHECK_OK(sim_file_size(d->w.machine, path, &size));
    d->totals->rotten++;
    if (size == 0 || driver_chance(d, 30))
        CHECK_OK(sim_file_remove(d->w.machine, path));
    else
        CHECK_OK(sim_file_write(d->w.machine, path, driver_pick(d, size), &byte, 1));
}

static void rot_indexes(struct driver *d)
{
    for (uint32_t i = 0; i < d->part_count; i++) {
        if (!driver_chance(d, 10)) continue;
        snprintf(d->rotting, sizeof d->rotting, "/data/%s-%d", d->parts[i].topic, d->parts[i].number);
        if (sim_file_list(d->w.machine, d->rotting, rot_index, d) != STATUS_OK) continue; /* no directory yet */
    }
}

static void end_life(struct driver *d)
{
    uint64_t how = driver_pick(d, 10);
    if (how < 2 && !d->io_faults) {
        end_trouble(d);
        stop_cleanly(d);
        return;
    }
    if (how < 5) drain(d);
    crash(d, driver_chance(d, 60));
    if (driver_chance(d, 10)) sim_kill(d->w.machine, SIM_POWER); /* the plug, after the process */
    end_trouble(d);
}

/* --- one run --- */

static void settings(struct driver *d)
{
    struct store_config *c = &d->w.config;
    c->batch_bytes_max = (uint32_t)(32 + driver_pick(d, 48)) << 10;
    c->group_bytes = (uint32_t)(64 + driver_pick(d, 192)) << 10;
    c->journal_first_bytes = c->journal_bytes = (2 + driver_pick(d, 6)) << 20;
    c->segment_bytes = (uint64_t)(64 + driver_pick(d, 512)) << 10;
    c->segment_ms = driver_chance(d, 20) ? 500 : 3600 * 1000;
    c->checkpoint_ms = 1 << driver_pick(d, 13);
    c->piece_bytes = 4096u << driver_pick(d, 6);
    c->stall_ms = 10 * 1000;
    c->retention_check_ms = 200 + (int64_t)driver_pick(d, 800);
    if (d->seed >= DRIVER_COMPACTS) {
        c->clean_check_ms = 100 + (int64_t)driver_pick(d, 400);
        c->clean_map_bytes = 32 * (4 + driver_pick(d, 60)); /* some maps are too small for all keys */
    }
    c->files_max = (uint32_t)(4 + driver_pick(d, 60));
    c->reserve_bytes = 64 << 10;
}

static void print_line(void *arg, enum log_level level, const char *line, size_t size)
{
    fwrite(line, 1, size, stdout);
}

static void add_faults(struct driver *d)
{
    const struct sim_counters *c = sim_counters(d->w.sim);
    for (int i = 0; i < SIM_FAULT_COUNT; i++) d->totals->faults += c->faults[i];
    d->totals->simulated_ns += sim_now(d->w.sim);
}

static void prepare(struct driver *d)
{
    struct prng rng;
    prng_seed(&rng, d->seed, 77);
    struct sim_machine_config machine = {
        .names = prng_below(&rng, 2) == 0 ? SIM_EXT4_ORDERED : SIM_WEAK_POSIX,
        .dsync_flushes = prng_below(&rng, 2) == 0,
        .dsync_cheaper = prng_below(&rng, 2) == 0,
        .mem_bytes = (192 + prng_below(&rng, 256)) << 20,
    };
    world_init(&d->w, d->seed, &machine);
    d->w.shards = 1 + (uint32_t)driver_pick(d, 2);
    settings(d);
    d->part_count = 1 + (uint32_t)driver_pick(d, DRIVER_PARTS);
    for (uint32_t i = 0; i < d->part_count; i++) {
        struct driver_part *part = &d->parts[i];
        snprintf(part->topic, sizeof part->topic, "t%u", i % 3);
        part->number = (int32_t)i;
        model_init(&part->log, driver_chance(d, 40));
        part->log.compacted = d->seed >= DRIVER_COMPACTS && driver_chance(d, 50);
        for (int k = 0; k < DRIVER_PRODUCERS; k++) part->producers[k].id = 100 + k;
    }
}

uint64_t driver_run(uint64_t seed, bool trace, struct driver_totals *totals)
{
    struct driver *d = calloc(1, sizeof *d);
    struct log log;
    d->seed = seed;
    d->trace = trace;
    d->totals = totals;
    d->bytes = malloc(BATCH_BYTES);
    prepare(d);
    if (trace) {
        const struct sim_machine_config *m = sim_machine_config(d->w.machine);
        printf("names %d, dsync flushes %d, dsync cheaper %d, %u shards, %u partitions\n", m->names, m->dsync_flushes,
               m->dsync_cheaper, d->w.shards, d->part_count);
        log_init(&log, print_line, NULL, LOG_DEBUG, 0);
        d->w.config.log = &log;
    }
    for (uint64_t lives = 3 + driver_pick(d, 5), i = 0; i < lives; i++) {
        boot(d, i > 0);
        check_all(d);
        create_some(d);
        work(d);
        end_life(d);
        rot_indexes(d);
    }
    boot(d, false);
    check_all(d);
    stop_cleanly(d);
    boot(d, false);
    check_all(d);
    add_faults(d);
    uint64_t hash = sim_trace_hash(d->w.sim);
    for (uint32_t i = 0; i < d->part_count; i++) model_deinit(&d->parts[i].log);
    world_deinit(&d->w);
    free(d->bytes);
    free(d);
    return hash;
}
