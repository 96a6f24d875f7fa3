// SPDX-License-Identifier: Apache-2.0
/* Growth of the ring: starts small, then file after file is made in the background up to journal_bytes (rule D3). */
#pragma once
#include "storage/store_impl.h"

struct grower;

struct grower *grower_create(struct store *s); /* NULL: no memory */
void grower_destroy(struct grower *g);         /* CHECKs that nothing runs: store->growing is false */
/* Begins the next file if one is wanted; called each turn of a serving store. */
void grower_turn(struct grower *g);
