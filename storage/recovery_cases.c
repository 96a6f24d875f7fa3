// SPDX-License-Identifier: Apache-2.0
/* The case table of recovery. First match wins; the last row fits everything. Each row's test: recovery_cases_test.c.
 */
#include "storage/recovery_cases.h"

#include "base/check.h"

#define YES 1
#define NO  0
#define ANY (-1)

const struct recovery_case recovery_cases[] = {
    /* name           header expected chained body file  searched witness */
    {"sound group", YES, YES, YES, YES, ANY, ANY, ANY, RECOVERY_ACCEPT, "every check passes"},
    {"may be in the next file", ANY, ANY, ANY, ANY, YES, ANY, ANY, RECOVERY_NEXT_FILE,
     "a group never crosses two files; the writer went on when the rest was too short"},
    {"unknown yet", ANY, ANY, ANY, ANY, NO, NO, ANY, RECOVERY_SEARCH,
     "only a later group can tell a torn tail from damage (F3)"},
    {"damage", ANY, ANY, ANY, ANY, NO, YES, YES, RECOVERY_DAMAGE, "a later group says that this one was durable"},
    {"end or torn tail", ANY, ANY, ANY, ANY, NO, YES, NO, RECOVERY_CUT,
     "nobody says that it was durable: it was never acknowledged"},
};

const unsigned recovery_case_count = sizeof recovery_cases / sizeof recovery_cases[0];

static bool fits(int8_t want, bool found)
{
    return want == ANY || (want == YES) == found;
}

const struct recovery_case *recovery_decide(const struct finding *f)
{
    for (unsigned i = 0; i < recovery_case_count; i++) {
        const struct recovery_case *c = &recovery_cases[i];
        if (fits(c->header, f->header) && fits(c->expected, f->expected) && fits(c->chained, f->chained) &&
            fits(c->body, f->body) && fits(c->file_left, f->file_left) && fits(c->searched, f->searched) &&
            fits(c->witness, f->witness))
            return c;
    }
    CHECK(false);
    return 0;
}
