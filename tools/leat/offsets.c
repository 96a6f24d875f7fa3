// SPDX-License-Identifier: Apache-2.0
/* Offsets of a topic's partitions that have a leader (contract: offsets.h). */
#include "tools/leat/offsets.h"

#include <stdlib.h>

bool topic_offsets_at(struct session *s, const struct leat_topic *t, struct leat_position position,
                      struct leat_offset *ret_offsets, int *ret_code)
{
    int32_t *led = calloc(t->partition_count + 1, sizeof *led);
    struct leat_offset *some = calloc(t->partition_count + 1, sizeof *some);
    struct leat_error e = {0};
    size_t n = 0;
    if (led == NULL || some == NULL) abort();
    for (size_t i = 0; i < t->partition_count; i++) {
        if (t->partitions[i].leader >= 0) led[n++] = t->partitions[i].number;
        ret_offsets[i] = (struct leat_offset){.partition = (int32_t)i, .kafka_code = -1, .offset = -1};
    }
    enum leat_code code = leat_offsets_get(s->client, t->name, led, n, position, s->timeout_ms, some, &e);
    for (size_t i = 0; i < n && code == LEAT_OK; i++) ret_offsets[some[i].partition] = some[i];
    free(led);
    free(some);
    if (code != LEAT_OK) *ret_code = complain_leat(s, &e);
    return code == LEAT_OK;
}

bool topic_offsets(struct session *s, const struct leat_topic *t, struct leat_offset *first, struct leat_offset *end,
                   int *ret_code)
{
    const struct leat_position beginning = {LEAT_BEGINNING, 0}, tail = {LEAT_TAIL, 0};
    return topic_offsets_at(s, t, beginning, first, ret_code) && topic_offsets_at(s, t, tail, end, ret_code);
}
