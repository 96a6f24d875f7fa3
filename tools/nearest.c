// SPDX-License-Identifier: Apache-2.0
/* How far two short words are apart, by Damerau and Levenshtein (contract: nearest.h). Two letters changed are near, in
 * words of up to four letters one. */
#include "tools/nearest.h"

#include "base/bytes.h"
#include <stdbool.h>
#include <string.h>

#define WORD_MAX 32u
#define NEAR     2u

/* Letters to change, add, leave out or swap with their neighbour to make one word of the other. */
static size_t distance(const char *a, size_t a_len, const char *b)
{
    size_t rows[3][WORD_MAX], n = strlen(b); /* of this letter of a and the two before it, in turn */
    if (n + 1 > WORD_MAX || a_len >= WORD_MAX) return WORD_MAX;
    for (size_t k = 0; k <= n; k++) rows[0][k] = k;
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t k = 1; k <= n; k++) {
            row[k] = MIN(last[k - 1] + (a[i - 1] != b[k - 1]), MIN(last[k], row[k - 1]) + 1);
            bool swapped = i > 1 && k > 1 && a[i - 1] == b[k - 2] && a[i - 2] == b[k - 1];
            if (swapped) row[k] = MIN(row[k], before[k - 2] + 1);
        }
    }
    return rows[a_len % 3][n];
}

void nearest_try(struct nearest *n, const char *written, const char *candidate)
{
    size_t len = strcspn(written, "=");
    size_t d = distance(written, len, candidate), near = len <= 4 ? 1 : NEAR;
    if (d > near || (n->best != NULL && d >= n->distance)) return;
    *n = (struct nearest){candidate, d};
}
