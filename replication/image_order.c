// SPDX-License-Identifier: Apache-2.0
/* Places in the image's sorted lists, by binary search, and the public look-ups on them. Pure. */
#include "replication/image_impl.h"

#include "replication/record_impl.h"

/* The first of count places where order(i) >= 0, order rising; *ret_found: there it is 0. */
#define SEARCH(count, order_of_mid, ret_found)                                                                         \
    uint32_t low = 0, high = (count);                                                                                  \
    *(ret_found) = false;                                                                                              \
    while (low < high) {                                                                                               \
        uint32_t mid = low + (high - low) / 2;                                                                         \
        int order = (order_of_mid);                                                                                    \
        if (order == 0) {                                                                                              \
            *(ret_found) = true;                                                                                       \
            return mid;                                                                                                \
        }                                                                                                              \
        if (order < 0)                                                                                                 \
            low = mid + 1;                                                                                             \
        else                                                                                                           \
            high = mid;                                                                                                \
    }                                                                                                                  \
    return low

uint32_t brokers_place(const struct image_brokers *l, int32_t id, bool *ret_found)
{
    SEARCH(l->count, (l->brokers[mid]->id > id) - (l->brokers[mid]->id < id), ret_found);
}

uint32_t configs_place(const struct image_configs *c, struct str key, bool *ret_found)
{
    SEARCH(c->count, str_order(c->entries[mid].key, key), ret_found);
}

static int configs_order(const struct image_configs *c, enum config_resource type, struct str name)
{
    return c->type != type ? (c->type > type) - (c->type < type) : str_order(c->name, name);
}

uint32_t settings_place(const struct image_settings *s, enum config_resource type, struct str name, bool *ret_found)
{
    SEARCH(s->count, configs_order(s->configs[mid], type, name), ret_found);
}

/* By the first entity, then the second (none first), then the key. */
static int quota_order(const struct image_quota *q, const struct record_quota *r)
{
    for (uint32_t i = 0; i < q->entity_count && i < r->entity_count; i++) {
        int order = str_order(q->entity[i].type, r->entity[i].type);
        if (order == 0) order = str_order(q->entity[i].name, r->entity[i].name);
        if (order != 0) return order;
    }
    if (q->entity_count != r->entity_count) return q->entity_count < r->entity_count ? -1 : 1;
    return str_order(q->key, r->key);
}

uint32_t quotas_place(const struct image_settings *s, const struct record_quota *q, bool *ret_found)
{
    SEARCH(s->quota_count, quota_order(s->quotas[mid], q), ret_found);
}

const struct image_config *image_configs_find(const struct image_configs *c, struct str key)
{
    bool found = false;
    uint32_t place = c == NULL ? 0 : configs_place(c, key, &found);
    return found ? &c->entries[place] : NULL;
}

const struct image_broker *image_brokers_find(const struct image_brokers *b, int32_t id)
{
    bool found;
    uint32_t place = brokers_place(b, id, &found);
    return found ? b->brokers[place] : NULL;
}

const struct image_configs *image_settings_find(const struct image_settings *s, enum config_resource type,
                                                struct str name)
{
    bool found;
    uint32_t place = settings_place(s, type, name, &found);
    return found ? s->configs[place] : NULL;
}
