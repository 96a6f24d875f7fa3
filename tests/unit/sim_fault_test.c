// SPDX-License-Identifier: Apache-2.0
/* Injected disk faults do what their names say, when and where the script says. */
#include "sim_world.h"

#define BLOCK 4096u

struct world {
    struct sim *sim;
    struct sim_machine *m;
    struct env *e;
    int32_t f;
};

/* A file of 4 blocks of ones, durable. */
static struct world world_create(uint64_t seed)
{
    struct world w = {.sim = sim_create(&(struct sim_config){.seed = seed})};
    w.m = sim_machine_create(w.sim, "10.0.0.1", NULL);
    sim_boot(w.m, 1, idle_start, NULL);
    w.e = sim_env(w.m, 0);
    w.f = open_file(w.sim, w.e, "/a", IO_CREATE | IO_DIRECT);
    ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 1, 4 * BLOCK, 0), STATUS_OK);
    ASSERT_EQ(file_op(w.sim, w.e, IO_SYNC, w.f), STATUS_OK);
    return w;
}

static void fault_once(struct world *w, enum sim_fault fault, enum io_kind kind)
{
    sim_fault_clear(w->m);
    sim_fault_add(w->m, &(struct sim_fault_rule){.fault = fault, .kinds = 1ull << kind, .path = "/a", .nth = 1});
}

static uint8_t block[4 * BLOCK] __attribute__((aligned(BLOCK)));

static enum status read_all(struct world *w, int64_t *ret_len)
{
    struct io_op op = {.kind = IO_READ, .file = w->f, .data = block, .len = sizeof block};
    enum status st = await(w->sim, w->e, &op);
    *ret_len = op.result;
    return st;
}

static unsigned bits_wrong(uint8_t right)
{
    unsigned n = 0;
    for (size_t at = 0; at < sizeof block; at++) n += (unsigned)__builtin_popcount(block[at] ^ right);
    return n;
}

static void nth_op_on_a_path_gets_it(void)
{
    struct world w = world_create(1);
    int32_t g = open_file(w.sim, w.e, "/dir-b", IO_CREATE);
    sim_fault_add(w.m, &(struct sim_fault_rule){
                           .fault = SIM_FAULT_NO_SPACE, .kinds = 1 << IO_WRITE, .path = "/dir*", .nth = 2, .count = 2});
    ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 1, 10, 0), STATUS_OK);
    ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 1, BLOCK, 0), STATUS_OK);
    ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 1, 10, 0), STATUS_NO_SPACE);
    ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 1, 10, 0), STATUS_NO_SPACE);
    ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 1, 10, 0), STATUS_OK);
    ASSERT_EQ(sim_counters(w.sim)->faults[SIM_FAULT_NO_SPACE], 2);
    sim_destroy(w.sim);
}

static void chance_is_a_chance(void)
{
    struct world w = world_create(2);
    int failed = 0;
    sim_fault_add(w.m, &(struct sim_fault_rule){.fault = SIM_FAULT_EIO, .kinds = 1 << IO_STAT, .chance_ppm = 100000});
    for (int n = 0; n < 1000; n++) failed += path_op(w.sim, w.e, IO_STAT, "/a", NULL) == STATUS_IO_ERROR;
    ASSERT(failed > 50 && failed < 150);
    sim_destroy(w.sim);
}

static void errors_come_as_their_status(void)
{
    struct world w = world_create(3);
    int64_t len;
    fault_once(&w, SIM_FAULT_EIO, IO_READ);
    ASSERT_EQ(read_all(&w, &len), STATUS_IO_ERROR);
    fault_once(&w, SIM_FAULT_EIO, IO_WRITE);
    ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 2, BLOCK, 0), STATUS_IO_ERROR);
    fault_once(&w, SIM_FAULT_TOO_MANY, IO_OPEN);
    ASSERT_EQ(path_op(w.sim, w.e, IO_OPEN, "/a", NULL), STATUS_TOO_MANY_FILES);
    fault_once(&w, SIM_FAULT_READ_ONLY, IO_UNLINK);
    ASSERT_EQ(path_op(w.sim, w.e, IO_UNLINK, "/a", NULL), STATUS_READ_ONLY);
    sim_disk_read_only(w.m, true);
    ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 2, BLOCK, 0), STATUS_READ_ONLY);
    sim_destroy(w.sim);
}

static void open_files_are_limited(void)
{
    struct sim *s = sim_create(&(struct sim_config){.seed = 1});
    struct sim_machine *m = sim_machine_create(s, "10.0.0.1", &(struct sim_machine_config){.max_files = 2});
    sim_boot(m, 1, idle_start, NULL);
    struct env *e = sim_env(m, 0);
    (void)open_file(s, e, "/a", IO_CREATE);
    int32_t b = open_file(s, e, "/b", IO_CREATE);
    ASSERT_EQ(path_op(s, e, IO_OPEN, "/a", NULL), STATUS_TOO_MANY_FILES);
    ASSERT_EQ(file_op(s, e, IO_CLOSE, b), STATUS_OK);
    ASSERT_EQ(open_file(s, e, "/a", 0), b);
    sim_destroy(s);
}

static void short_transfers_are_whole_blocks_when_direct(void)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct world w = world_create(seed);
        int64_t len;
        fault_once(&w, SIM_FAULT_SHORT, IO_READ);
        ASSERT_EQ(read_all(&w, &len), STATUS_OK);
        ASSERT(len > 0 && len < 4 * BLOCK && len % BLOCK == 0);
        fault_once(&w, SIM_FAULT_SHORT, IO_WRITE);
        ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 2, 4 * BLOCK, 0), STATUS_TRUNCATED_INPUT);
        int64_t n = count_bytes(w.m, "/a", 4 * BLOCK, 2);
        ASSERT(n > 0 && n < 4 * BLOCK && n % BLOCK == 0);
        sim_destroy(w.sim);
    }
}

static void a_bit_flips_once_or_for_good(void)
{
    struct world w = world_create(4);
    int64_t len;
    fault_once(&w, SIM_FAULT_FLIP_READ, IO_READ);
    ASSERT_EQ(read_all(&w, &len), STATUS_OK);
    ASSERT_EQ(bits_wrong(1), 1);
    ASSERT_EQ(read_all(&w, &len), STATUS_OK);
    ASSERT_EQ(bits_wrong(1), 0);
    fault_once(&w, SIM_FAULT_FLIP_REST, IO_READ);
    for (int n = 0; n < 2; n++) {
        ASSERT_EQ(read_all(&w, &len), STATUS_OK);
        ASSERT_EQ(bits_wrong(1), 1);
    }
    sim_kill(w.m, SIM_POWER);
    ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 1), 4 * BLOCK - 1);
    sim_destroy(w.sim);
}

static void a_sector_is_zeroed(void)
{
    struct world w = world_create(5);
    fault_once(&w, SIM_FAULT_ZERO, IO_WRITE);
    ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 2, BLOCK, 0), STATUS_OK);
    ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 0), 512);
    ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 2), BLOCK - 512);
    sim_destroy(w.sim);
}

static void lost_writes_are_acknowledged_and_gone(void)
{
    struct world w = world_create(6);
    fault_once(&w, SIM_FAULT_LOST, IO_WRITE);
    ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 2, BLOCK, IO_DSYNC), STATUS_OK);
    ASSERT_EQ(count_bytes(w.m, "/a", 4 * BLOCK, 1), 4 * BLOCK);
    sim_destroy(w.sim);
}

static void misdirected_writes_land_elsewhere(void)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct world w = world_create(seed);
        int32_t g = open_file(w.sim, w.e, "/b", IO_CREATE);
        ASSERT_EQ(write_bytes(w.sim, w.e, g, 0, 3, 2 * BLOCK, 0), STATUS_OK);
        fault_once(&w, SIM_FAULT_WRONG_OFFSET, IO_WRITE);
        ASSERT_EQ(write_bytes(w.sim, w.e, w.f, BLOCK, 2, BLOCK, 0), STATUS_OK);
        uint8_t at_target;
        uint64_t size;
        ASSERT_EQ(sim_file_read(w.m, "/a", BLOCK, &at_target, 1), STATUS_OK);
        ASSERT_EQ(at_target, 1);
        ASSERT_EQ(sim_file_size(w.m, "/a", &size), STATUS_OK);
        ASSERT_EQ(count_bytes(w.m, "/a", (uint32_t)size, 2), BLOCK);
        fault_once(&w, SIM_FAULT_WRONG_FILE, IO_WRITE);
        ASSERT_EQ(write_bytes(w.sim, w.e, w.f, BLOCK, 4, BLOCK, 0), STATUS_OK);
        ASSERT_EQ(count_bytes(w.m, "/a", (uint32_t)size, 4), 0);
        ASSERT_EQ(count_bytes(w.m, "/b", 2 * BLOCK, 4), BLOCK);
        sim_destroy(w.sim);
    }
}

static void stalls_last_as_long_as_told(void)
{
    struct world w = world_create(7);
    sim_fault_add(w.m, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL, .nth = 1, .delay_ns = 5 * NS_PER_S});
    int64_t begin = sim_now(w.sim);
    ASSERT_EQ(file_op(w.sim, w.e, IO_DATASYNC, w.f), STATUS_OK);
    ASSERT(sim_now(w.sim) - begin >= 5 * NS_PER_S && sim_now(w.sim) - begin < 6 * NS_PER_S);
    sim_fault_clear(w.m);
    sim_fault_add(w.m, &(struct sim_fault_rule){.fault = SIM_FAULT_STALL, .nth = 1, .delay_ns = INT64_MAX});
    struct io_op op = {.kind = IO_DATASYNC, .file = w.f, .done = nothing_done};
    env_submit(w.e, &op);
    sim_run_until(w.sim, sim_now(w.sim) + 1000 * NS_PER_S);
    ASSERT(op.in_flight);
    ASSERT_EQ(write_bytes(w.sim, w.e, w.f, 0, 2, BLOCK, 0), STATUS_OK); /* others go on */
    sim_destroy(w.sim);
}

TEST_MAIN("sim_fault", {"the nth op on a path gets it", nth_op_on_a_path_gets_it},
          {"a chance is a chance", chance_is_a_chance}, {"errors come as their status", errors_come_as_their_status},
          {"open files are limited", open_files_are_limited},
          {"short transfers are whole blocks when direct", short_transfers_are_whole_blocks_when_direct},
          {"a bit flips once or for good", a_bit_flips_once_or_for_good}, {"a sector is zeroed", a_sector_is_zeroed},
          {"lost writes are acknowledged and gone", lost_writes_are_acknowledged_and_gone},
          {"misdirected writes land elsewhere", misdirected_writes_land_elsewhere},
          {"stalls last as long as told", stalls_last_as_long_as_told})
