// SPDX-License-Identifier: Apache-2.0
/* leat.topics: "name:partitions, name, ...", topics that the broker makes at its start where they are missing (and
 * gives more partitions where they have fewer). */
#pragma once
#include "base/config.h"
#include "protocol/wire.h"

struct wanted_topic {
    struct str name; /* borrowed from the configuration */
    int32_t partitions;
};

/* Every item is sound, none stands twice. INVALID with a sentence. */
MUST_CHECK enum status wanted_topics_check(const struct config *c, char ret_error[512]);
/* Walks the checked list: *pos starts at 0; false at the end. */
bool wanted_topic_next(const struct config *c, size_t *pos, struct wanted_topic *ret_topic);
