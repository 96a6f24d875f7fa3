// SPDX-License-Identifier: Apache-2.0
/* Recovery's decisions. One group is in flight at a time, and the next is written only when it is durable; so a group
 * that is not good was durable exactly when something later of the same log exists, or when control noted it. */
#include "replication/metalog_cases.h"

#include "base/check.h"

/*  good  last  accepted  witness  zero   what
 *   x     -       -         -      -     GROUP
 *   -     -       -         x      -     DAMAGED
 *   -     -       -         -      -     NEXT     a group did not fit any more, or a cut one was left behind; the first
 *                                                 group of the next segment must be the next in sequence, else it is
 *                                                 itself the witness
 *   -     x       x         -      -     DAMAGED  control has seen it durable
 *   -     x       -         -      x     END
 *   -     x       -         -      -     CUT */
enum tail_case tail_decide(const struct tail_facts *f)
{
    if (f->good) return TAIL_GROUP;
    if (f->witness) return TAIL_DAMAGED;
    if (!f->last) return TAIL_NEXT;
    if (f->accepted) return TAIL_DAMAGED;
    return f->zero ? TAIL_END : TAIL_CUT;
}

enum log_case log_decide(const struct log_facts *f)
{
    CHECK(f->first > 0 && f->last >= f->first - 1);
    CHECK(f->term_at_snapshot == 0 || (f->snapshot_index >= f->first && f->snapshot_index <= f->last));
    if (f->snapshot_index == 0) return f->first == 1 && f->last >= 1 && f->reset_index == 0 ? LOG_KEEP : LOG_DAMAGED;
    if (f->reset_index > f->snapshot_index) return LOG_DAMAGED; /* the snapshot that came with it is gone */
    if (f->first > f->snapshot_index + 1) return LOG_DAMAGED;   /* a gap */
    if (f->last < f->snapshot_index) return LOG_RESET;
    if (f->snapshot_index + 1 == f->first) return LOG_KEEP; /* the log begins right behind it */
    return f->term_at_snapshot == f->snapshot_term ? LOG_KEEP : LOG_RESET;
}
