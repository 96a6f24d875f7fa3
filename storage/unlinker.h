// SPDX-License-Identifier: Apache-2.0
/* Removes segment files that the log no longer names, one after another. A file that is not there is fine (it may never
 * have been made); any other failure is logged and the file left: the next start puts it into quarantine. */
#pragma once
#include "storage/store_impl.h"

struct unlinker;

struct unlinker *unlinker_create(struct store *s);
void unlinker_destroy(struct unlinker *u);
void unlink_segment(struct unlinker *u, struct partition *p, int64_t base); /* that the log still names */
void unlink_generation(struct unlinker *u, struct partition *p, int64_t base, uint32_t generation);
bool unlinker_idle(const struct unlinker *u);
bool unlinker_holds(const struct unlinker *u, const struct partition *p); /* a file of p is being unlinked */
