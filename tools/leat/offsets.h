// SPDX-License-Identifier: Apache-2.0
/* First offset and end of every partition of a topic, where there is somebody to ask. */
#pragma once
#include "tools/leat/session.h"

/* Both arrays have one entry per partition of the topic. A partition without leader has kafka_code -1 there: nobody
 * answers for it, and it must not cost the others their time. False: an error was written, *ret_code is set. */
bool topic_offsets(struct session *s, const struct leat_topic *t, struct leat_offset *first, struct leat_offset *end,
                   int *ret_code);
/* The same for one position (a time, the beginning, the end). */
bool topic_offsets_at(struct session *s, const struct leat_topic *t, struct leat_position position,
                      struct leat_offset *ret_offsets, int *ret_code);
