// SPDX-License-Identifier: Apache-2.0
/* Names of directories in trash/ and quarantine/: <directory name, at most 150 bytes>.<topic id, 32 hex digits>-
 * <partition>.<creation sequence>.<wall-clock ms>. Pure. */
#pragma once
#include "storage/path.h"
#include "storage/store.h"

/* ret_name: at most NAME_BYTES_MAX - 1 bytes. */
void kept_name(char ret_name[NAME_BYTES_MAX], const char *dir_name, const struct kept *k);
/* False: none of ours; all of *ret_kept is set otherwise. */
bool kept_name_parse(const char *name, struct kept *ret_kept) MUST_CHECK;
