// SPDX-License-Identifier: Apache-2.0
/* Inside of the target: target.c (the flow, metadata, offsets) and target_admin.c (what changes something there). */
#pragma once
#include "tools/bench/target.h"

#define TARGET_AGAIN_US 50000 /* between two questions for something that needs a moment */

static inline struct str str_of(const char *s)
{
    return (struct str){s, (int32_t)strlen(s)};
}

/* Always false; a->error says that the broker refused `what` `topic` with this code and text (may be null). */
bool target_refuse(struct asker *a, const char *what, struct str topic, int16_t code, struct str text);
bool target_create(struct target *t, const struct client_options *o, struct asker *a, const bool *missing);
bool target_ask_delete(const struct target *t, struct asker *a);
bool target_ask_producer(struct asker *a, double timeout_s, struct target_producer *ret_producer);
