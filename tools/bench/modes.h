// SPDX-License-Identifier: Apache-2.0
/* The three questions that leat-bench answers. Each works in `dir`, an empty folder of its own, and may leave it full.
 * False: `error` says why in a sentence. Each store lives in a child process: a run starts with fresh memory, and a
 * kill -9 is a real one. */
#pragma once
#include "tools/bench/report.h"

bool mode_run(const struct options *o, const char *dir, bool dsync_cheaper, uint32_t partitions, uint32_t size_bytes,
              struct report *r, char error[600]);
bool mode_recover(const struct options *o, const char *dir, bool dsync_cheaper, struct report *r, char error[600]);
bool mode_idle(const struct options *o, const char *dir, bool dsync_cheaper, struct report *r, char error[600]);
