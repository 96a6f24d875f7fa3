// SPDX-License-Identifier: Apache-2.0
/* The bytes of one simulated file: sparse, in 4 KiB pages that are shared between copies until written. A page is a
 * hole, reserved (allocated, never written: reads as zeros), written with zeros (no memory either), or has bytes.
 * Knows nothing of durability; positions beyond size may hold pages (a crash clips them). */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define SIM_PAGE 4096u

struct sim_page;
struct sim_image {
    struct sim_page **pages; /* grows by doubling */
    uint64_t page_capacity;
    uint64_t mapped; /* pages that are not holes */
    uint64_t size;   /* bytes; kept by the caller through write (grows) and resize */
};

void sim_image_clear(struct sim_image *i);
void sim_image_copy(struct sim_image *to, const struct sim_image *from);               /* drops what `to` held */
void sim_image_read(const struct sim_image *i, uint64_t pos, uint64_t len, void *out); /* zeros where nothing is */
void sim_image_write(struct sim_image *i, uint64_t pos, uint64_t len, const void *data, bool grow);
void sim_image_reserve(struct sim_image *i, uint64_t pos, uint64_t len); /* does not change the size */
void sim_image_resize(struct sim_image *i, uint64_t size); /* drops what is beyond, zeros the rest of the last page */
bool sim_image_written(const struct sim_image *i, uint64_t pos, uint64_t len);   /* no hole, no reserved page inside */
uint64_t sim_image_holes(const struct sim_image *i, uint64_t pos, uint64_t len); /* pages that a write would allocate */
