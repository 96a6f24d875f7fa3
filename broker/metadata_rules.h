// SPDX-License-Identifier: Apache-2.0
/* What the controller's rules (replication/controller.h) must ask the broker: which settings there are, what values
 * they take, what holds where none is set. */
#pragma once
#include "replication/controller.h"

struct shard;

struct metadata_rules {
    struct config_rules rules;
    struct shard *zero;
};

/* Fills the controller for one plan; it borrows r, image and random. */
void metadata_rules_begin(struct metadata_rules *r, struct shard *zero, const struct image *image, struct prng *random,
                          struct controller *ret_controller);
