// SPDX-License-Identifier: Apache-2.0
/* One metalog, told as stories: first start, restart, snapshot, refusals, what a crash may leave, what is damage. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "tests/sim/metalog_world.h"
#include "tests/unit/check_main.h"
#include <stdio.h>
#include <stdlib.h>

static struct metalog_world w;

static void begin(uint64_t seed)
{
    mworld_init(&w, seed, 1, NULL);
    ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
}

static void end(void)
{
    mworld_deinit(&w);
}

static void append(uint64_t from, uint64_t count)
{
    for (uint64_t i = from; i < from + count; i++)
        ASSERT_EQ(mworld_append(&w, 0, i, (uint32_t)(i % 7) * 60 + 1), STATUS_OK);
}

static void first_start_and_restart(void)
{
    begin(1);
    struct metalog_node *n = &w.nodes[0];
    uint32_t leader;
    ASSERT(mworld_wait_leader(&w, &leader));
    ASSERT(metalog_leader(n->log) == n->id && metalog_term(n->log) == 1);
    ASSERT_EQ(metalog_applied(n->log), 1); /* the voters */
    struct uuid cluster = metalog_cluster(n->log);
    ASSERT(!uuid_is_zero(cluster));
    append(1, 20);
    ASSERT_EQ(n->commands, 20);
    uint64_t hash = n->hash;
    mworld_stop(&w, 0);
    ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
    ASSERT(mworld_wait_leader(&w, &leader));
    ASSERT(n->hash == hash && n->commands == 20 && n->restores == 0);
    struct uuid again = metalog_cluster(n->log);
    ASSERT(uuid_equal(again, cluster));
    append(21, 5);
    ASSERT_EQ(metalog_counters(n->log)->submits, 5);
    end();
}

static void acknowledged_entries_survive_every_crash(void)
{
    for (uint64_t seed = 10; seed < 30; seed++) {
        begin(seed);
        for (int round = 0; round < 6; round++) {
            append((uint64_t)round * 10, 10);
            uint64_t commands = w.nodes[0].commands, acked = w.acked;
            mworld_submit(&w, 0, 1000 + (uint64_t)round, 5000); /* in flight */
            if (seed % 2 == 0) mworld_pass(&w, (int64_t)(seed % 7) * 40 * NS_PER_US);
            mworld_kill(&w, 0, round % 2 == 0 ? SIM_POWER : SIM_KILL);
            ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
            uint32_t leader;
            ASSERT(mworld_wait_leader(&w, &leader));
            ASSERT(w.nodes[0].commands >= commands && w.nodes[0].commands <= commands + 1);
            ASSERT(w.acked >= acked);
        }
        end();
    }
}

static void snapshots_bound_the_log(void)
{
    begin(2);
    struct metalog_node *n = &w.nodes[0];
    for (uint64_t i = 0; i < 600; i++) ASSERT_EQ(mworld_append(&w, 0, i, 900), STATUS_OK);
    mworld_pass(&w, NS_PER_S);
    ASSERT(metalog_counters(n->log)->snapshots >= 5);
    ASSERT(metalog_counters(n->log)->log_bytes <= 600 << 10); /* of 2.4 MB written: each entry took a block */
    uint64_t hash = n->hash;
    mworld_kill(&w, 0, SIM_POWER);
    ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
    uint32_t leader;
    ASSERT(mworld_wait_leader(&w, &leader));
    ASSERT(n->restores == 1 && n->hash == hash && n->applied_calls < 700);
    end();
}

static void refusals_say_why(void)
{
    begin(3);
    struct metalog_node *n = &w.nodes[0];
    ASSERT_EQ(mworld_append(&w, 0, 1, METALOG_ENTRY_BYTES_MAX), STATUS_OK);
    ASSERT_EQ(mworld_append(&w, 0, 1, METALOG_ENTRY_BYTES_MAX + 1), STATUS_BATCH_TOO_LARGE);
    ASSERT_EQ(mworld_append(&w, 0, 1, 0), STATUS_OK); /* a barrier */
    for (uint32_t i = 0; i < METALOG_SUBMITS_MAX + 10; i++) mworld_submit(&w, 0, i, 10);
    mworld_pass(&w, NS_PER_S);
    ASSERT_EQ(w.refused, 11);
    ASSERT_EQ(w.acked, METALOG_SUBMITS_MAX + 2);
    ASSERT_EQ(metalog_transfer(n->log, -1), STATUS_INVALID);
    ASSERT_EQ(metalog_receive(n->log, 0, "nonsense", 8), STATUS_INVALID);
    mworld_submit(&w, 0, 1, 10);
    mworld_stop(&w, 0); /* ends it: canceled */
    ASSERT(w.unknown == 1);

    static const struct {
        const char *what;
        enum status status;
    } cases[] = {{"node 5 is none of the voters", STATUS_INVALID},
                 {"belongs to another cluster", STATUS_FORMAT},
                 {"was made for other voters", STATUS_FORMAT},
                 {"2 voters", STATUS_INVALID},
                 {"is node.id right?", STATUS_FORMAT}};
    struct metalog_config good = n->config;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        n->config = good;
        switch (i) {
        case 0: n->config.self = 5; break;
        case 1: n->config.cluster = (struct uuid){{1}}; break;
        case 2:
            n->config.cluster = (struct uuid){{0}};
            n->config.voter_count = 3;
            n->config.voters[1] = 4;
            n->config.voters[2] = 9;
            n->config.cluster = (struct uuid){{1}};
            break;
        case 3: n->config.voter_count = 2; break;
        default:
            n->config.self = 5;
            n->config.voters[0] = 5;
            break;
        }
        enum status status = mworld_boot(&w, 0);
        if (i == 2) { /* the cluster is looked at first */
            ASSERT(status == STATUS_FORMAT);
            continue;
        }
        ASSERT_EQ(status, cases[i].status);
        ASSERT(strstr(n->open.error, cases[i].what) != NULL);
    }
    n->config = good;
    ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
    end();
}

static void a7_a_killed_process_that_still_writes_is_waited_for(void)
{
    for (uint64_t seed = 40; seed < 60; seed++) {
        struct sim_machine_config config = {.linger_ns = 200 * NS_PER_MS};
        mworld_init(&w, seed, 1, &config);
        ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
        append(0, 3);
        for (int i = 0; i < 20; i++) {
            mworld_submit(&w, 0, 100 + (uint64_t)i, 3000);
            mworld_pass(&w, (int64_t)(seed - 39) * 30 * NS_PER_US);
            mworld_kill(&w, 0, SIM_KILL);
            ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
            append(0, 2);
        }
        mworld_kill(&w, 0, SIM_POWER);
        ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
        append(0, 1);
        end();
    }
}

/* --- damage --- */

#define DIR "/data/" METALOG_NAME

static void flip(const char *path, uint64_t pos)
{
    uint8_t byte;
    ASSERT_EQ(sim_file_read(w.nodes[0].machine, path, pos, &byte, 1), STATUS_OK);
    byte ^= 4;
    ASSERT_EQ(sim_file_write(w.nodes[0].machine, path, pos, &byte, 1), STATUS_OK);
}

static void expect_refusal(enum status status, const char *text)
{
    ASSERT_EQ(mworld_boot(&w, 0), status);
    if (strstr(w.nodes[0].open.error, text) == NULL) fprintf(stderr, "%s\n", w.nodes[0].open.error);
    ASSERT(strstr(w.nodes[0].open.error, text) != NULL);
}

static void damage_below_what_was_durable_is_told_never_cut(void)
{
    begin(4);
    append(0, 5); /* groups of 4 KiB: 1 the voters, then one each */
    mworld_pass(&w, NS_PER_S);
    mworld_kill(&w, 0, SIM_KILL);
    for (uint64_t block = 0; block < 6; block++) {
        flip(DIR "/log-000001", block * 4096 + 200); /* in the body, or in the padding: the body's CRC covers it */
        expect_refusal(STATUS_DAMAGED, "was durable once");
        flip(DIR "/log-000001", block * 4096 + 200);
        flip(DIR "/log-000001", block * 4096 + 50); /* in the head */
        expect_refusal(STATUS_DAMAGED, "was durable once");
        flip(DIR "/log-000001", block * 4096 + 50);
    }
    ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
    uint32_t leader;
    ASSERT(mworld_wait_leader(&w, &leader));
    ASSERT_EQ(w.nodes[0].commands, 5);
    end();
}

static void a_missing_file_is_damage(void)
{
    begin(5);
    for (uint64_t i = 0; i < 40; i++) ASSERT_EQ(mworld_append(&w, 0, i, 900), STATUS_OK); /* three segments */
    mworld_kill(&w, 0, SIM_KILL);
    struct sim_disk_image *disk = sim_disk_snapshot(w.nodes[0].machine);
    static const char *const files[] = {"control", "log-000001", "log-000002", "log-000003"};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char path[64];
        snprintf(path, sizeof path, DIR "/%s", files[i]);
        ASSERT_EQ(sim_file_remove(w.nodes[0].machine, path), STATUS_OK);
        expect_refusal(STATUS_DAMAGED, i == 0 ? "control file is missing" : "is missing");
        sim_disk_restore(w.nodes[0].machine, disk);
    }
    flip(DIR "/control", 60);
    flip(DIR "/control", 4096 + 60);
    expect_refusal(STATUS_DAMAGED, "both pages");
    sim_disk_restore(w.nodes[0].machine, disk);
    ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
    sim_disk_image_free(disk);
    end();
}

static void snapshot_names(const char *name, bool is_dir, void *arg)
{
    char(*names)[64] = arg;
    (void)is_dir;
    if (strncmp(name, "snapshot-", 9) != 0) return;
    memcpy(names[0], names[1], sizeof names[1]);
    snprintf(names[1], sizeof names[1], "%s", name);
}

static void one_damaged_snapshot_loses_nothing(void)
{
    char names[2][64] = {{0}};
    begin(6);
    for (uint64_t i = 0; i < 300; i++) ASSERT_EQ(mworld_append(&w, 0, i, 900), STATUS_OK);
    mworld_pass(&w, NS_PER_S);
    ASSERT(metalog_counters(w.nodes[0].log)->snapshots >= 2);
    uint64_t hash = w.nodes[0].hash;
    mworld_kill(&w, 0, SIM_KILL);
    ASSERT_EQ(sim_file_list(w.nodes[0].machine, DIR, snapshot_names, names), STATUS_OK);
    ASSERT(names[0][0] != '\0');
    char path[2][160];
    for (int i = 0; i < 2; i++) snprintf(path[i], sizeof path[i], DIR "/%.63s", names[i]);
    flip(path[1], 4100);
    ASSERT_EQ(mworld_boot(&w, 0), STATUS_OK);
    uint32_t leader;
    ASSERT(mworld_wait_leader(&w, &leader));
    ASSERT_EQ(w.nodes[0].hash, hash);
    mworld_kill(&w, 0, SIM_KILL);
    flip(path[0], 20);
    expect_refusal(STATUS_DAMAGED, "entries before");
    end();
}

static void newer_formats_are_named(void)
{
    begin(7);
    mworld_kill(&w, 0, SIM_KILL);
    uint8_t page[4096];
    for (uint64_t at = 0; at < 8192; at += 4096) {
        ASSERT_EQ(sim_file_read(w.nodes[0].machine, DIR "/control", at, page, 4096), STATUS_OK);
        store_le32(page + 8, 9);
        store_le32(page + 12, 0);
        store_le32(page + 12, crc32c(0, page, 4096));
        ASSERT_EQ(sim_file_write(w.nodes[0].machine, DIR "/control", at, page, 4096), STATUS_OK);
    }
    expect_refusal(STATUS_FORMAT, "newer Leat (format 9");
    end();
}

static void a_failed_flush_is_the_end(void)
{
    begin(8);
    append(0, 3);
    sim_fault_add(
        w.nodes[0].machine,
        &(struct sim_fault_rule){.fault = SIM_FAULT_EIO, .kinds = 1ull << IO_DATASYNC, .path = "*log-*", .nth = 1});
    ASSERT_EQ(mworld_append(&w, 0, 9, 100), STATUS_FENCED);
    ASSERT(w.nodes[0].failed && strstr(w.nodes[0].why, "cannot be flushed") != NULL);
    uint64_t syncs = metalog_counters(w.nodes[0].log)->syncs;
    ASSERT_EQ(mworld_append(&w, 0, 10, 100), STATUS_FENCED);
    mworld_pass(&w, 5 * NS_PER_S);
    ASSERT_EQ(metalog_counters(w.nodes[0].log)->syncs, syncs); /* nothing is tried again */
    mworld_stop(&w, 0);
    end();
}

TEST_MAIN("metalog", {"first start and restart", first_start_and_restart},
          {"acknowledged entries survive every crash", acknowledged_entries_survive_every_crash},
          {"R7 snapshots bound the log", snapshots_bound_the_log}, {"refusals say why", refusals_say_why},
          {"A7: a killed process that still writes is waited for", a7_a_killed_process_that_still_writes_is_waited_for},
          {"damage below what was durable is told, never cut", damage_below_what_was_durable_is_told_never_cut},
          {"a missing file is damage", a_missing_file_is_damage},
          {"one damaged snapshot loses nothing", one_damaged_snapshot_loses_nothing},
          {"newer formats are named", newer_formats_are_named},
          {"a failed flush is the end", a_failed_flush_is_the_end})
