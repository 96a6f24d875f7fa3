// SPDX-License-Identifier: Apache-2.0
/* What is done for each partition once in a while: retention, and forgetting idle producers. Rounds over all
 * partitions, spread evenly over retention_check_ms, so that 100,000 of them cost a few hundred looks a second and
 * never a burst. */
#pragma once
#include "storage/store_impl.h"

struct upkeep;

struct upkeep *upkeep_create(struct store *s); /* NULL: no memory */
void upkeep_destroy(struct upkeep *u);
void upkeep_start(struct upkeep *u); /* the store serves: the first round begins */
void upkeep_tick(struct upkeep *u);  /* several times a second */
