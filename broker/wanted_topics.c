// SPDX-License-Identifier: Apache-2.0
/* leat.topics (wanted_topics.h). Failure mode: a malformed item, or a name that stands twice, is a sentence for the
 * start-up error. */
#include "broker/wanted_topics.h"
#include "base/bytes.h"
#include "base/check.h"
#include "replication/controller.h"
#include <stdio.h>

static bool parse_count(const char *text, size_t size, int32_t *ret_count)
{
    int32_t n = 0;
    if (size == 0 || size > 6) return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        n = n * 10 + (text[i] - '0');
    }
    if (n < 1 || n > (int32_t)PARTITIONS_MAX) return false;
    *ret_count = n;
    return true;
}

static enum status parse(const char *item, size_t size, int32_t default_partitions, struct wanted_topic *ret_topic,
                         char error[512])
{
    char why[256];
    const char *colon = memchr(item, ':', size);
    size_t name_size = colon != NULL ? (size_t)(colon - item) : size;
    struct wanted_topic w = {{item, (int32_t)name_size}, default_partitions};
    if (!topic_name_check(w.name, why)) {
        snprintf(error, 512, "leat.topics: \"%.*s\": %s", (int)MIN(name_size, 100u), item, why);
        return STATUS_INVALID;
    }
    if (colon != NULL && !parse_count(colon + 1, size - name_size - 1, &w.partitions)) {
        snprintf(error, 512, "leat.topics: %.*s: after the colon stands a number of partitions from 1 to %d",
                 (int)name_size, item, (int)PARTITIONS_MAX);
        return STATUS_INVALID;
    }
    *ret_topic = w;
    return STATUS_OK;
}

static bool next(const struct config *c, size_t *pos, const char **ret_item, size_t *ret_size)
{
    return config_is_set(c, "leat.topics") && config_list_next(c, "leat.topics", pos, ret_item, ret_size);
}

/* Quadratic, for a list that a person has written. */
static bool twice(const struct config *c, struct str name, size_t before)
{
    struct wanted_topic w;
    for (size_t pos = 0; pos < before && wanted_topic_next(c, &pos, &w) && pos < before;)
        if (str_equal(w.name, name)) return true;
    return false;
}

enum status wanted_topics_check(const struct config *c, char ret_error[512])
{
    struct wanted_topic w;
    const char *item;
    size_t pos = 0, size;
    while (next(c, &pos, &item, &size)) {
        enum status s = parse(item, size, 1, &w, ret_error);
        if (s != STATUS_OK) return s;
        if (twice(c, w.name, pos)) {
            snprintf(ret_error, 512, "leat.topics: %.*s stands there twice", w.name.len, w.name.data);
            return STATUS_INVALID;
        }
    }
    return STATUS_OK;
}

bool wanted_topic_next(const struct config *c, size_t *pos, struct wanted_topic *ret_topic)
{
    const char *item;
    char error[512];
    size_t size;
    if (!next(c, pos, &item, &size)) return false;
    CHECK_OK(parse(item, size, (int32_t)config_int(c, "num.partitions"), ret_topic, error));
    return true;
}
