// SPDX-License-Identifier: Apache-2.0
/* Shard memory, buffers, arena: in separate mode under ASan, and pooled with LEAT_MEM_SEPARATE unset otherwise. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/prng.h"
#include "tests/unit/check_main.h"
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool aborts(void (*fn)(void))
{
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) == NULL) _exit(3);
        fn();
        _exit(0);
    }
    int status = 0;
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void budgets_hold(void)
{
    struct mem *m = mem_create(100 << 20);
    uint64_t sum = 0;
    for (int c = 0; c < MEM_CLASSES; c++) sum += mem_budget(m, (enum mem_class)c);
    ASSERT_EQ(sum, 100 << 20);
    ASSERT_EQ(mem_budget(m, MEM_LOG), 50 << 20);
    void *p = mem_alloc(m, MEM_CONTROL, 3 << 20);
    ASSERT(p != NULL && mem_used(m, MEM_CONTROL) == 3 << 20);
    ASSERT(mem_alloc(m, MEM_CONTROL, (2 << 20) + 1) == NULL);
    ASSERT(mem_alloc(m, MEM_CONTROL, SIZE_MAX) == NULL);
    ASSERT(mem_has_room(m, MEM_CONTROL, 2 << 20) && !mem_has_room(m, MEM_CONTROL, (2 << 20) + 1));
    void *q = mem_alloc(m, MEM_FETCH, 2 << 20); /* classes do not disturb each other */
    ASSERT(q != NULL);
    mem_free(m, MEM_CONTROL, p, 3 << 20);
    mem_free(m, MEM_FETCH, q, 2 << 20);
    ASSERT_EQ(mem_used(m, MEM_CONTROL), 0);
    ASSERT(mem_peak(m, MEM_CONTROL) == 3 << 20 && mem_peak(m, MEM_FETCH) == 2 << 20 && mem_peak(m, MEM_LOG) == 0);
    ASSERT_STREQ(mem_class_name(MEM_REPLICATION), "replication");
    mem_destroy(m);
}

static void charges_are_size_classes(void)
{
    static const struct {
        size_t size, charged;
    } cases[] = {{1, 16},
                 {16, 16},
                 {17, 32},
                 {32, 32},
                 {33, 48},
                 {48, 48},
                 {49, 64},
                 {65, 96},
                 {97, 128},
                 {4097, 6144},
                 {6145, 8192},
                 {1 << 20, 1 << 20},
                 {(1 << 20) + 1, (1 << 20) + 4096}};
    struct mem *m = mem_create(100 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *p = mem_alloc(m, MEM_LOG, cases[i].size);
        ASSERT_EQ(mem_used(m, MEM_LOG), cases[i].charged);
        mem_free(m, MEM_LOG, p, cases[i].size);
    }
    mem_destroy(m);
}

struct block {
    uint8_t *p;
    size_t size;
    bool aligned;
    uint8_t fill;
};

static void block_free(struct mem *m, struct block *b)
{
    for (size_t i = 0; i < b->size && b->p != NULL; i++) ASSERT_EQ(b->p[i], b->fill);
    if (b->aligned)
        mem_free_aligned(m, MEM_LOG, b->p, b->size);
    else
        mem_free(m, MEM_LOG, b->p, b->size);
    b->p = NULL;
}

static void blocks_never_overlap(void)
{
    enum { BLOCKS = 200, STEPS = 20000 };
    static struct block blocks[BLOCKS];
    struct mem *m = mem_create(64 << 20);
    struct prng p;
    prng_seed(&p, 11, 0);
    for (int i = 0; i < STEPS; i++) {
        struct block *b = &blocks[prng_below(&p, BLOCKS)];
        block_free(m, b);
        b->size = 1 + prng_below(&p, (uint64_t)1 << (1 + prng_below(&p, i % 50 == 0 ? 21 : 14)));
        b->aligned = prng_chance(&p, 1, 3);
        b->fill = (uint8_t)i;
        b->p = b->aligned ? mem_alloc_aligned(m, MEM_LOG, b->size) : mem_alloc(m, MEM_LOG, b->size);
        if (b->p == NULL) continue; /* the budget is small on purpose */
        ASSERT((uintptr_t)b->p % (b->aligned ? 4096 : 16) == 0);
        memset(b->p, b->fill, b->size);
    }
    for (int i = 0; i < BLOCKS; i++) block_free(m, &blocks[i]);
    ASSERT_EQ(mem_used(m, MEM_LOG), 0);
    mem_destroy(m);
}

static void realloc_keeps_bytes_and_zalloc_zeroes(void)
{
    struct mem *m = mem_create(1 << 20);
    char *p = mem_realloc(m, MEM_LOG, NULL, 0, 10), *same;
    memcpy(p, "123456789", 10);
    p = mem_realloc(m, MEM_LOG, p, 10, 12);
    p = mem_realloc(m, MEM_LOG, p, 12, 5000);
    ASSERT_STREQ(p, "123456789");
    same = mem_realloc(m, MEM_LOG, p, 5000, 2 << 20);
    ASSERT(same == NULL); /* and the old block stands */
    ASSERT_STREQ(p, "123456789");
    mem_free(m, MEM_LOG, p, 5000);
    char *z = mem_zalloc(m, MEM_LOG, 5000);
    for (int i = 0; i < 5000; i++) ASSERT_EQ(z[i], 0);
    mem_free(m, MEM_LOG, z, 5000);
    mem_destroy(m);
}

static void nth_allocation_fails_once(void)
{
    struct mem *m = mem_create(1 << 20);
    mem_fail_nth(m, 2);
    void *a = mem_alloc(m, MEM_LOG, 8);
    ASSERT(a != NULL && mem_alloc_aligned(m, MEM_LOG, 8) == NULL);
    void *b = mem_alloc(m, MEM_LOG, 8);
    ASSERT(b != NULL);
    for (uint64_t n = 1; n <= 2; n++) { /* buf_create holds nothing when either part fails */
        uint64_t used = mem_used(m, MEM_LOG);
        mem_fail_nth(m, n);
        ASSERT(buf_create(m, MEM_LOG, 100) == NULL);
        ASSERT_EQ(mem_used(m, MEM_LOG), used);
    }
    mem_abandon(m); /* with a and b alive: the leak checker sees whether it frees all */
}

static void leak(void)
{
    struct mem *m = mem_create(1 << 20);
    if (mem_alloc(m, MEM_LOG, 8) != NULL) mem_destroy(m);
}

static void free_twice_the_size(void)
{
    struct mem *m = mem_create(1 << 20);
    mem_free(m, MEM_LOG, mem_alloc(m, MEM_LOG, 8), 100);
}

static void bugs_are_checks(void)
{
    ASSERT(aborts(leak));
    ASSERT(aborts(free_twice_the_size));
}

static void bufs_count_refs(void)
{
    struct mem *m = mem_create(1 << 20);
    struct buf *b = buf_create(m, MEM_PRODUCE, 5000), *again = buf_ref(b);
    ASSERT((uintptr_t)b->data % 4096 == 0 && b->refs == 2 && b->size == 0 && b->capacity == 5000);
    buf_unref(&b);
    ASSERT(b == NULL && again->refs == 1 && mem_used(m, MEM_PRODUCE) > 0);
    buf_unref(&again);
    ASSERT_EQ(mem_used(m, MEM_PRODUCE), 0);
    mem_destroy(m);
}

static void arena_hands_out_until_its_cap(void)
{
    struct mem *m = mem_create(64 << 20);
    struct arena a;
    arena_init(&a, m, MEM_FETCH, 1 << 20);
    for (int round = 0; round < 3; round++) {
        size_t sum = 0, n = 1;
        for (void *p; (p = arena_zalloc(&a, n)) != NULL; n = n * 3 % 1000 + 1) {
            ASSERT_EQ((uintptr_t)p % 16, 0);
            memset(p, 0x55, n);
            sum += n;
        }
        ASSERT(sum > (1 << 20) * 3 / 4 && a.held_bytes <= 1 << 20);
        arena_reset(&a);
        ASSERT_EQ(a.held_bytes, ARENA_FIRST_BYTES);
    }
    ASSERT(arena_alloc(&a, SIZE_MAX) == NULL && arena_alloc(&a, 1 << 20) == NULL);
    ASSERT(arena_alloc(&a, 600 << 10) != NULL && arena_alloc(&a, 0) != NULL);
    arena_deinit(&a);
    ASSERT_EQ(mem_used(m, MEM_FETCH), 0);
    mem_destroy(m);
}

TEST_MAIN("mem", {"budgets hold", budgets_hold}, {"charges are size classes", charges_are_size_classes},
          {"blocks never overlap", blocks_never_overlap},
          {"realloc keeps bytes, zalloc zeroes", realloc_keeps_bytes_and_zalloc_zeroes},
          {"R5 the n-th allocation fails", nth_allocation_fails_once}, {"bugs are CHECKs", bugs_are_checks},
          {"buffers count references", bufs_count_refs},
          {"an arena hands out until its cap", arena_hands_out_until_its_cap})
