// SPDX-License-Identifier: Apache-2.0
/* Topics of the configuration (topics.h). Path: topics_add for each item of leat.topics, topics_seal, then lookups by
 * binary search (name) and by a walk (id: only Fetch from version 13 on asks, and never for many).
 * Failure modes: a malformed item or a name that stands twice is a sentence for the start-up error. */
#include "broker/topics.h"
#include "base/check.h"
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

#define ID_PREFIX "leat.topic:"

void topics_init(struct topics *t, struct mem *m)
{
    *t = (struct topics){.mem = m};
}

void topics_deinit(struct topics *t)
{
    mem_free(t->mem, MEM_CONTROL, t->list, t->room * sizeof *t->list);
    topics_init(t, t->mem);
}

bool topics_name_valid(const char *name, size_t size)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (size == 0 || size > TOPIC_NAME_MAX) return false;
    for (size_t i = 0; i < size; i++)
        if (name[i] == '\0' || strchr(allowed, name[i]) == NULL) return false;
    return !(size == 1 && name[0] == '.') && !(size == 2 && name[0] == '.' && name[1] == '.');
}

/* A UUID of version 8 (RFC 9562: contents are the maker's own). */
struct topic_id topic_id_of(const char *name)
{
    char text[sizeof ID_PREFIX + TOPIC_NAME_MAX];
    int size = snprintf(text, sizeof text, ID_PREFIX "%s", name);
    CHECK(size > 0 && (size_t)size < sizeof text);
    XXH128_canonical_t hash;
    XXH128_canonicalFromHash(&hash, XXH3_128bits(text, (size_t)size));
    struct topic_id id;
    static_assert(sizeof hash.digest == sizeof id.b, "a UUID has 128 bits");
    memcpy(id.b, hash.digest, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0fu) | 0x80u);
    id.b[8] = (uint8_t)((id.b[8] & 0x3fu) | 0x80u);
    return id;
}

static bool parse_count(const char *text, size_t size, int32_t *ret_count)
{
    int32_t n = 0;
    if (size == 0 || size > 6) return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        n = n * 10 + (text[i] - '0');
    }
    if (n < 1 || n > TOPIC_PARTITIONS_MAX) return false;
    *ret_count = n;
    return true;
}

static bool grow(struct topics *t)
{
    if (t->count < t->room) return true;
    uint32_t room = t->room == 0 ? 16 : t->room * 2;
    struct topic *list = mem_realloc(t->mem, MEM_CONTROL, t->list, t->room * sizeof *t->list, room * sizeof *t->list);
    if (list == NULL) return false;
    t->list = list;
    t->room = room;
    return true;
}

enum status topics_add(struct topics *t, const char *spec, size_t size, int32_t default_partitions, char ret_error[256])
{
    const char *colon = memchr(spec, ':', size);
    size_t name_size = colon != NULL ? (size_t)(colon - spec) : size;
    int32_t partitions = default_partitions;
    if (!topics_name_valid(spec, name_size)) {
        snprintf(ret_error, 256, "leat.topics: \"%.*s\" is no topic name: 1 to 249 of a-z A-Z 0-9 . _ -",
                 (int)(name_size < 100 ? name_size : 100), spec);
        return STATUS_INVALID;
    }
    if (colon != NULL && !parse_count(colon + 1, size - name_size - 1, &partitions)) {
        snprintf(ret_error, 256, "leat.topics: %.*s: after the colon stands a number of partitions from 1 to %d",
                 (int)name_size, spec, TOPIC_PARTITIONS_MAX);
        return STATUS_INVALID;
    }
    if (!grow(t)) return STATUS_NO_MEMORY;
    struct topic *n = &t->list[t->count++];
    *n = (struct topic){.partition_count = partitions};
    memcpy(n->name, spec, name_size);
    n->id = topic_id_of(n->name);
    return STATUS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct topic *)a)->name, ((const struct topic *)b)->name);
}

enum status topics_seal(struct topics *t, char ret_error[256])
{
    if (t->count > 0) qsort(t->list, t->count, sizeof *t->list, by_name);
    t->slot_count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (i > 0 && by_name(&t->list[i - 1], &t->list[i]) == 0) {
            snprintf(ret_error, 256, "leat.topics: %.200s stands there twice", t->list[i].name);
            return STATUS_INVALID;
        }
        t->list[i].first_slot = t->slot_count;
        t->slot_count += (uint32_t)t->list[i].partition_count;
    }
    return STATUS_OK;
}

static int compare(struct str name, const struct topic *t)
{
    size_t len = strlen(t->name), n = (size_t)name.len;
    int order = memcmp(name.data, t->name, n < len ? n : len);
    return order != 0 ? order : (n > len) - (n < len);
}

const struct topic *topics_by_name(const struct topics *t, struct str name)
{
    uint32_t low = 0, high = t->count;
    if (name.len <= 0) return NULL;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        int order = compare(name, &t->list[mid]);
        if (order == 0) return &t->list[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const struct topic *topics_by_id(const struct topics *t, struct uuid id)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (memcmp(t->list[i].id.b, id.b, sizeof id.b) == 0) return &t->list[i];
    return NULL;
}
