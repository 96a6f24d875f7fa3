// SPDX-License-Identifier: Apache-2.0
/* The case table of recovery, against the rules said once more as nested ifs. */
#include "storage/recovery_cases.h"
#include "tests/unit/check_main.h"
#include <string.h>

static enum recovery_action expected(const struct finding *f)
{
    if (f->header && f->expected && f->chained && f->body) return RECOVERY_ACCEPT;
    if (f->file_left) return RECOVERY_NEXT_FILE;
    if (!f->searched) return RECOVERY_SEARCH;
    return f->witness ? RECOVERY_DAMAGE : RECOVERY_CUT;
}

static struct finding finding_of(unsigned bits)
{
    return (struct finding){.header = bits & 1,
                            .expected = bits & 2,
                            .chained = bits & 4,
                            .body = bits & 8,
                            .file_left = bits & 16,
                            .searched = bits & 32,
                            .witness = bits & 64};
}

static void every_finding_has_its_action(void)
{
    unsigned hits[16] = {0};
    ASSERT(recovery_case_count > 0 && recovery_case_count <= 16);
    for (unsigned bits = 0; bits < 128; bits++) {
        struct finding f = finding_of(bits);
        const struct recovery_case *c = recovery_decide(&f);
        ASSERT_EQ(c->action, expected(&f));
        ASSERT(c >= recovery_cases && c < recovery_cases + recovery_case_count);
        hits[c - recovery_cases]++;
    }
    static const unsigned want[] = {8, 60, 30, 15, 15}; /* of 128 */
    ASSERT_EQ(recovery_case_count, 5);
    for (unsigned i = 0; i < recovery_case_count; i++) ASSERT_EQ(hits[i], want[i]);
}

static void each_row_says_why(void)
{
    for (unsigned i = 0; i < recovery_case_count; i++) {
        ASSERT(strlen(recovery_cases[i].name) > 0 && strlen(recovery_cases[i].reason) > 0);
        for (unsigned k = 0; k < i; k++) ASSERT(strcmp(recovery_cases[i].name, recovery_cases[k].name) != 0);
    }
}

TEST_MAIN("recovery cases", {"every finding has its action, every row is hit", every_finding_has_its_action},
          {"each row says why", each_row_says_why})
