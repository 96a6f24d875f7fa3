// SPDX-License-Identifier: Apache-2.0
/* Recovery's decision at one place of the journal as a table of cases: what was found there -> what to do. Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct finding {    /* of the group that should carry sequence n */
    bool header;    /* a header of this journal, its CRC right */
    bool expected;  /* its sequence is n, and its incarnation may carry n */
    bool chained;   /* its chain is the header CRC of the accepted group before (or there is none to compare) */
    bool body;      /* its body CRC is right */
    bool file_left; /* the group may begin in the next ring file: that was not looked at yet */
    bool searched;  /* the rest of the ring was searched for witnesses */
    bool witness;   /* a later group of the same or a later incarnation says that n was durable */
};

enum recovery_action {
    RECOVERY_ACCEPT,    /* replay it */
    RECOVERY_NEXT_FILE, /* look at the next ring file */
    RECOVERY_SEARCH,    /* look for witnesses */
    RECOVERY_CUT,       /* torn tail: never acknowledged; the log of the journal ends before n */
    RECOVERY_DAMAGE,    /* acknowledged bytes are lost here: go on behind them, name the victims (rule A8) */
};

struct recovery_case {
    const char *name;
    int8_t header, expected, chained, body, file_left, searched, witness; /* 1 yes, 0 no, -1 either */
    enum recovery_action action;
    const char *reason;
};

extern const struct recovery_case recovery_cases[];
extern const unsigned recovery_case_count;

/* The first case that fits; exactly one action for every finding. */
const struct recovery_case *recovery_decide(const struct finding *f);
