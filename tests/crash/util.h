// SPDX-License-Identifier: Apache-2.0
/* What every part of the crash tester needs: memory shared with the processes forked later, seeded random, the end.
 * The tester stands apart from base/ on purpose: a judge does not share code with the judged. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* Zeroed address space, shared with children forked later; pages cost memory only when touched. Never freed. */
void *reserve(uint64_t size_bytes);

/* splitmix64: next value of the sequence that starts at *state. */
uint64_t random_next(uint64_t *state);
uint64_t random_below(uint64_t *state, uint64_t limit); /* limit > 0 */

/* Prints a sentence and ends this process with code 2 (what it set up is undone by the rig's clean-up). */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_errno(const char *what);

/* Run by die before the exit. */
void die_set_cleanup(void (*cleanup)(void));
