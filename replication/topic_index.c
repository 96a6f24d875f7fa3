// SPDX-License-Identifier: Apache-2.0
/* Topics by name, by id and in name order (topic_index.h).
 *
 * Two open-addressing tables of pointers (linear probing, removal by shifting back, at most 3/4 full) for the look-ups,
 * and for the order blocks of at most BLOCK_ROOM sorted pointers: a change moves bytes in one block only. A block that
 * would overflow is split in two; one that becomes empty goes. Iteration is by the blocks alone, so no hash order
 * shows. Failure modes: NO_MEMORY before anything is changed. */
#include "replication/topic_index.h"

#include "base/bytes.h"
#include "base/check.h"
#include "replication/image.h"
#include "replication/record_impl.h"
#include <xxhash.h>

#define BLOCK_ROOM 256u
#define TABLE_MIN  16u

struct table {
    const struct image_topic **slots;
    uint32_t room, count; /* room: a power of two, or 0 */
};

struct block {
    uint32_t count;
    const struct image_topic *topics[BLOCK_ROOM];
};

struct topic_index {
    struct mem *mem;
    struct table by_name, by_id;
    struct block **blocks;
    uint32_t block_count, block_room;
    struct block **spare; /* reserved by topic_index_reserve: blocks that splits may take */
    uint32_t spare_count, spare_room;
};

static_assert(BLOCK_ROOM >= 4 && BLOCK_ROOM % 2 == 0, "a split leaves two blocks with room");

/* --- the two tables --- */

static uint64_t hash_name(struct str name)
{
    return XXH3_64bits(name.data, (size_t)name.len);
}

static uint64_t hash_id(struct uuid id)
{
    return XXH3_64bits(id.b, sizeof id.b);
}

static uint64_t hash_of(const struct topic_index *x, const struct table *t, const struct image_topic *topic)
{
    return t == &x->by_name ? hash_name(topic->name) : hash_id(topic->id);
}

static enum status table_room(struct topic_index *x, struct table *t, uint64_t count)
{
    uint32_t room = MAX(t->room, TABLE_MIN);
    while (count > (uint64_t)room / 4 * 3) {
        CHECK(room < UINT32_MAX / 2);
        room *= 2;
    }
    if (room == t->room) return STATUS_OK;
    struct table old = *t;
    const struct image_topic **slots = mem_zalloc(x->mem, MEM_CONTROL, room * sizeof *slots);
    if (slots == NULL) return STATUS_NO_MEMORY;
    t->slots = slots;
    t->room = room;
    for (uint32_t i = 0; i < old.room; i++) {
        if (old.slots[i] == NULL) continue;
        uint32_t at = (uint32_t)hash_of(x, t, old.slots[i]) & (room - 1);
        while (slots[at] != NULL) at = (at + 1) & (room - 1);
        slots[at] = old.slots[i];
    }
    mem_free(x->mem, MEM_CONTROL, old.slots, old.room * sizeof *old.slots);
    return STATUS_OK;
}

static void table_put(struct topic_index *x, struct table *t, const struct image_topic *topic)
{
    CHECK(t->count < t->room);
    uint32_t at = (uint32_t)hash_of(x, t, topic) & (t->room - 1);
    while (t->slots[at] != NULL) at = (at + 1) & (t->room - 1);
    t->slots[at] = topic;
    t->count++;
}

/* Where exactly this topic stands. */
static uint32_t table_slot(const struct topic_index *x, const struct table *t, const struct image_topic *topic)
{
    CHECK(t->room > 0);
    uint32_t at = (uint32_t)hash_of(x, t, topic) & (t->room - 1);
    while (t->slots[at] != topic) {
        CHECK(t->slots[at] != NULL);
        at = (at + 1) & (t->room - 1);
    }
    return at;
}

static void table_remove(struct topic_index *x, struct table *t, const struct image_topic *topic)
{
    uint32_t mask = t->room - 1, hole = table_slot(x, t, topic);
    for (uint32_t at = (hole + 1) & mask; t->slots[at] != NULL; at = (at + 1) & mask) {
        uint32_t home = (uint32_t)hash_of(x, t, t->slots[at]) & mask;
        if (((at - home) & mask) < ((at - hole) & mask)) continue; /* the hole lies before its home */
        t->slots[hole] = t->slots[at];
        hole = at;
    }
    t->slots[hole] = NULL;
    t->count--;
}

const struct image_topic *topic_index_by_name(const struct topic_index *x, struct str name)
{
    const struct table *t = &x->by_name;
    if (t->room == 0 || name.len <= 0) return NULL;
    for (uint32_t at = (uint32_t)hash_name(name) & (t->room - 1); t->slots[at] != NULL; at = (at + 1) & (t->room - 1))
        if (str_equal(t->slots[at]->name, name)) return t->slots[at];
    return NULL;
}

const struct image_topic *topic_index_by_id(const struct topic_index *x, struct uuid id)
{
    const struct table *t = &x->by_id;
    if (t->room == 0) return NULL;
    for (uint32_t at = (uint32_t)hash_id(id) & (t->room - 1); t->slots[at] != NULL; at = (at + 1) & (t->room - 1))
        if (uuid_equal(t->slots[at]->id, id)) return t->slots[at];
    return NULL;
}

uint32_t topic_index_count(const struct topic_index *x)
{
    CHECK(x->by_name.count == x->by_id.count);
    return x->by_name.count;
}

/* --- the order --- */

/* The last block whose first name is not above `name`; 0 if there is none. */
static uint32_t block_of(const struct topic_index *x, struct str name)
{
    uint32_t low = 0, high = x->block_count;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (str_order(x->blocks[mid]->topics[0]->name, name) <= 0)
            low = mid;
        else
            high = mid;
    }
    return low;
}

/* The first place in the block whose name is not below `name`. */
static uint32_t place_of(const struct block *b, struct str name)
{
    uint32_t low = 0, high = b->count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (str_order(b->topics[mid]->name, name) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static enum status grow_pointers(struct topic_index *x, struct block ***list, uint32_t *room, uint64_t want)
{
    if (want <= *room) return STATUS_OK;
    CHECK(want < UINT32_MAX / 2);
    uint32_t to = MAX((uint32_t)want, *room * 2);
    struct block **grown = mem_realloc(x->mem, MEM_CONTROL, *list, *room * sizeof **list, to * sizeof **list);
    if (grown == NULL) return STATUS_NO_MEMORY;
    *list = grown;
    *room = to;
    return STATUS_OK;
}

/* Each split needs a block. An insertion splits at most one; a block that was split takes half a block more before it
 * is split again, one that was full before only one. */
enum status topic_index_reserve(struct topic_index *x, uint32_t more)
{
    uint32_t blocks = MIN(more, x->block_count + more / (BLOCK_ROOM / 2)) + 2;
    uint64_t count = (uint64_t)x->by_name.count + more;
    if (table_room(x, &x->by_name, count) != STATUS_OK || table_room(x, &x->by_id, count) != STATUS_OK ||
        grow_pointers(x, &x->blocks, &x->block_room, (uint64_t)x->block_count + blocks) != STATUS_OK ||
        grow_pointers(x, &x->spare, &x->spare_room, blocks) != STATUS_OK)
        return STATUS_NO_MEMORY;
    while (x->spare_count < blocks) {
        struct block *b = mem_alloc(x->mem, MEM_CONTROL, sizeof *b);
        if (b == NULL) return STATUS_NO_MEMORY;
        x->spare[x->spare_count++] = b;
    }
    return STATUS_OK;
}

/* One insertion needs no memory. */
static bool ready(const struct topic_index *x)
{
    uint32_t room = x->by_name.room / 4 * 3;
    return x->by_name.count < room && x->by_id.count < x->by_id.room / 4 * 3 && x->spare_count > 0 &&
           x->block_count < x->block_room;
}

static struct block *block_insert(struct topic_index *x, uint32_t at)
{
    CHECK(x->spare_count > 0 && x->block_count < x->block_room);
    struct block *b = x->spare[--x->spare_count];
    memmove(&x->blocks[at + 1], &x->blocks[at], (x->block_count - at) * sizeof *x->blocks);
    x->blocks[at] = b;
    x->block_count++;
    b->count = 0;
    return b;
}

static void order_insert(struct topic_index *x, const struct image_topic *topic)
{
    if (x->block_count == 0) block_insert(x, 0);
    uint32_t i = block_of(x, topic->name);
    struct block *b = x->blocks[i];
    if (b->count == BLOCK_ROOM) {
        struct block *upper = block_insert(x, i + 1);
        upper->count = BLOCK_ROOM / 2;
        b->count = BLOCK_ROOM / 2;
        memcpy(upper->topics, b->topics + b->count, upper->count * sizeof *b->topics);
        if (str_order(upper->topics[0]->name, topic->name) < 0) b = upper;
    }
    uint32_t at = place_of(b, topic->name);
    memmove(&b->topics[at + 1], &b->topics[at], (b->count - at) * sizeof *b->topics);
    b->topics[at] = topic;
    b->count++;
}

static void order_remove(struct topic_index *x, const struct image_topic *topic, const struct image_topic *new)
{
    uint32_t i = block_of(x, topic->name);
    struct block *b = x->blocks[i];
    uint32_t at = place_of(b, topic->name);
    CHECK(at < b->count && b->topics[at] == topic);
    if (new != NULL) {
        b->topics[at] = new;
        return;
    }
    b->count--;
    memmove(&b->topics[at], &b->topics[at + 1], (b->count - at) * sizeof *b->topics);
    if (b->count > 0) return;
    mem_free(x->mem, MEM_CONTROL, b, sizeof *b);
    x->block_count--;
    memmove(&x->blocks[i], &x->blocks[i + 1], (x->block_count - i) * sizeof *x->blocks);
}

const struct image_topic *topic_index_after(const struct topic_index *x, struct str after)
{
    if (x->block_count == 0) return NULL;
    if (after.len < 0) return x->blocks[0]->topics[0];
    uint32_t i = block_of(x, after);
    uint32_t at = place_of(x->blocks[i], after);
    if (at < x->blocks[i]->count && str_equal(x->blocks[i]->topics[at]->name, after)) at++;
    if (at < x->blocks[i]->count) return x->blocks[i]->topics[at];
    return i + 1 < x->block_count ? x->blocks[i + 1]->topics[0] : NULL;
}

const struct image_topic *topic_cursor_next(struct topic_cursor *c)
{
    const struct topic_index *x = c->index;
    if (c->block >= x->block_count) return NULL;
    const struct image_topic *topic = x->blocks[c->block]->topics[c->at++];
    if (c->at == x->blocks[c->block]->count) {
        c->block++;
        c->at = 0;
    }
    return topic;
}

/* --- the whole --- */

struct topic_index *topic_index_create(struct mem *m)
{
    struct topic_index *x = mem_zalloc(m, MEM_CONTROL, sizeof *x);
    if (x != NULL) x->mem = m;
    return x;
}

void topic_index_destroy(struct topic_index *x)
{
    if (x == NULL) return;
    struct mem *m = x->mem;
    mem_free(m, MEM_CONTROL, x->by_name.slots, x->by_name.room * sizeof *x->by_name.slots);
    mem_free(m, MEM_CONTROL, x->by_id.slots, x->by_id.room * sizeof *x->by_id.slots);
    for (uint32_t i = 0; i < x->block_count; i++) mem_free(m, MEM_CONTROL, x->blocks[i], sizeof **x->blocks);
    for (uint32_t i = 0; i < x->spare_count; i++) mem_free(m, MEM_CONTROL, x->spare[i], sizeof **x->spare);
    mem_free(m, MEM_CONTROL, x->blocks, x->block_room * sizeof *x->blocks);
    mem_free(m, MEM_CONTROL, x->spare, x->spare_room * sizeof *x->spare);
    mem_free(m, MEM_CONTROL, x, sizeof *x);
}

enum status topic_index_change(struct topic_index *x, const struct image_topic *old, const struct image_topic *new)
{
    CHECK(old != NULL || new != NULL);
    if (old != NULL && new != NULL) {
        CHECK(uuid_equal(old->id, new->id) && str_equal(old->name, new->name));
        x->by_name.slots[table_slot(x, &x->by_name, old)] = new;
        x->by_id.slots[table_slot(x, &x->by_id, old)] = new;
        order_remove(x, old, new);
    } else if (old != NULL) {
        table_remove(x, &x->by_name, old);
        table_remove(x, &x->by_id, old);
        order_remove(x, old, NULL);
    } else {
        CHECK(new->name.len > 0);
        CHECK(topic_index_by_name(x, new->name) == NULL && topic_index_by_id(x, new->id) == NULL);
        if (!ready(x) && topic_index_reserve(x, 1) != STATUS_OK) return STATUS_NO_MEMORY;
        table_put(x, &x->by_name, new);
        table_put(x, &x->by_id, new);
        order_insert(x, new);
    }
    return STATUS_OK;
}

void topic_index_check(const struct topic_index *x)
{
    const struct image_topic *before = NULL, *topic;
    uint32_t count = 0;
    for (uint32_t i = 0; i < x->block_count; i++) CHECK(x->blocks[i]->count > 0 && x->blocks[i]->count <= BLOCK_ROOM);
    for (struct topic_cursor c = topic_index_first(x); (topic = topic_cursor_next(&c)) != NULL; before = topic) {
        CHECK(before == NULL || str_order(before->name, topic->name) < 0);
        CHECK(topic_index_by_name(x, topic->name) == topic);
        CHECK(topic_index_by_id(x, topic->id) == topic);
        count++;
    }
    CHECK(count == x->by_name.count && count == x->by_id.count);
}
