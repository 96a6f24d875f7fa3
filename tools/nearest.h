// SPDX-License-Identifier: Apache-2.0
/* "Did you mean": which word is so near to what somebody wrote that it was probably meant. */
#pragma once
#include <stddef.h>

struct nearest {
    const char *best; /* NULL: nothing is near */
    size_t distance;
};

/* Looks at one more candidate; begin with a zeroed struct. `written` is compared up to its first '=', if any. */
void nearest_try(struct nearest *n, const char *written, const char *candidate);
