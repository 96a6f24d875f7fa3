// SPDX-License-Identifier: Apache-2.0
/* Memory of a result that the user gets: everything it points to lies in one arena, so that it is freed at once. The
 * public struct is the first piece; result_free finds the arena from it. */
#pragma once
#include "clients/c/client.h"

#define RESULT_BYTES_MAX ((size_t)256 << 20)

struct result {
    struct arena arena;
    struct mem *mem;
    bool failed; /* an allocation did not succeed: the result must not be used */
};

/* The public struct, zeroed; NULL without memory. */
void *result_create(struct mem *mem, size_t size, struct result **ret_result);
void result_free(void *public_struct); /* may be NULL */

/* Zeroed; count 0 gives a pointer to nothing. After the first failure NULL, and `failed` says so. */
void *result_array(struct result *r, size_t count, size_t size);
const char *result_str(struct result *r, struct str s);  /* NUL-terminated copy; NULL for null */
const char *result_text(struct result *r, struct str s); /* the same; "" for null */
