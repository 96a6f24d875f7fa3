// SPDX-License-Identifier: Apache-2.0
/* hash_table: against an array, with many nodes of one hash, and without memory. */
#include "base/hash_table.h"
#include "base/list.h"
#include "base/prng.h"
#include "tests/unit/check_main.h"

enum { NODES = 2000 };

struct item {
    struct hash_node node;
    uint64_t hash;
    bool in;
};

static struct mem *m;
static struct hash_table t;
static struct item items[NODES];

static struct item *find(const struct item *wanted)
{
    for (struct hash_node *n = hash_table_find(&t, wanted->hash); n != NULL; n = hash_node_next(n)) {
        struct item *i = container_of(n, struct item, node);
        if (i == wanted) return i;
    }
    return NULL;
}

static void like_an_array(void)
{
    struct prng random;
    uint32_t count = 0;
    prng_seed(&random, 7, 0);
    for (uint32_t i = 0; i < NODES; i++) items[i] = (struct item){.hash = prng_below(&random, NODES / 4) << 3};
    for (uint32_t step = 0; step < 40 * NODES; step++) {
        struct item *i = &items[prng_below(&random, NODES)];
        ASSERT_EQ(find(i) != NULL, i->in);
        if (i->in) {
            hash_table_remove(&t, &i->node);
            count--;
        } else {
            ASSERT_EQ(hash_table_insert(&t, &i->node, i->hash), STATUS_OK);
            count++;
        }
        i->in = !i->in;
        ASSERT_EQ(t.count, count);
    }
    for (uint32_t i = 0; i < NODES; i++)
        if (items[i].in) hash_table_remove(&t, &items[i].node);
    ASSERT_EQ(t.count, 0);
}

static void without_memory(void)
{
    struct item a = {.hash = 1}, more[64];
    mem_fail_nth(m, 1);
    ASSERT_EQ(hash_table_insert(&t, &a.node, a.hash), STATUS_NO_MEMORY);
    ASSERT_EQ(t.count, 0);
    ASSERT_EQ(hash_table_insert(&t, &a.node, a.hash), STATUS_OK);
    for (uint32_t i = 0; i < 64; i++) { /* cannot grow: slower, not wrong */
        more[i] = (struct item){.hash = i};
        mem_fail_nth(m, 1);
        ASSERT_EQ(hash_table_insert(&t, &more[i].node, i), STATUS_OK);
    }
    mem_fail_nth(m, 0);
    for (uint32_t i = 0; i < 64; i++) {
        ASSERT_EQ(find(&more[i]) == &more[i], true);
        hash_table_remove(&t, &more[i].node);
    }
    hash_table_remove(&t, &a.node);
}

static void with_table(void (*test)(void))
{
    m = mem_create(16u << 20);
    hash_table_init(&t, m, MEM_CONTROL);
    test();
    hash_table_deinit(&t);
    mem_destroy(m);
}

static void like_an_array_test(void)
{
    with_table(like_an_array);
}

static void without_memory_test(void)
{
    with_table(without_memory);
}

TEST_MAIN("hash table", {"like an array", like_an_array_test}, {"without memory", without_memory_test})
