// SPDX-License-Identifier: Apache-2.0
/* Reads back, during a replay, the block of a cut that the replay's own moves have passed (rule D8). */
#pragma once
#include "storage/replay.h"

/* Counts as one pending op of parent. When parent runs again: *ret_status OK and cut->payload is there, which the
 * caller owns; or DAMAGED, IO_ERROR, NO_MEMORY. False: no memory, nothing was begun. */
bool recut_start(struct passed_cut *cut, struct task *parent, enum status *ret_status) MUST_CHECK;
