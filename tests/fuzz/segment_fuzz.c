// SPDX-License-Identifier: Apache-2.0
/* A closed segment's .log and .lidx of any bytes, under a real store on a simulated disk: a start, reads of every
 * offset, lookups by time, the repair of the index, a stop.
 *
 * The input is a script that spoils the two sound files at rest, ops of {u8 what % 9, ...}:
 *   0, 1   patch .log, .lidx: u16 place / 3, u8 n, n bytes
 *   2, 3   cut .log, .lidx: u16 place / 3
 *   4      remove .lidx
 *   5      as 1, then the page's checksum is made right
 *   6      as 0, then the batch's checksum is made right
 *   7, 8   the rest of the input is the .log, the .lidx
 *
 * Nothing may crash or hang; a read is answered with whole batches at or behind its offset, their checksums right
 * unless a page was forged, or with DAMAGED; the segment behind is served whatever happens here. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "protocol/batch.h"
#include "storage/sealed.h"
#include "tests/sim/store_world.h"
#include <stdlib.h>

#define LOG_PATH  "/data/t-0/00000000000000000000.log"
#define LIDX_PATH "/data/t-0/00000000000000000000.lidx"
enum { FIRST = 4, RECORDS = 6 }; /* in the segment; in all */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct store_world w;
static struct sim_disk_image *sound;
static bool forged;

/* Two segments, nothing in memory after a start. */
static void make_disk(void)
{
    world_init(&w, 1, NULL);
    w.config.segment_bytes = 110 << 10;
    w.config.journal_bytes = w.config.journal_first_bytes;
    CHECK_OK(world_boot(&w, 1));
    struct partition *p = world_create(&w, "t", 0);
    for (int64_t i = 0; i < RECORDS; i++) {
        struct world_batch b = {.records = 1, .value_bytes = 26000, .tag = (uint64_t)i, .time_ms = WORLD_TIME_MS + i};
        CHECK_OK(world_append(&w, p, &b, NULL));
    }
    CHECK_OK(world_stop(&w));
    sound = sim_disk_snapshot(w.machine);
}

/* --- the script --- */

struct input {
    const uint8_t *at, *end;
};

static uint64_t take(struct input *in, size_t bytes)
{
    uint64_t v = 0;
    for (; bytes > 0 && in->at < in->end; bytes--) v = v << 8 | *in->at++;
    return v;
}

static uint64_t size_of(const char *path)
{
    uint64_t size;
    return sim_file_size(w.machine, path, &size) == STATUS_OK ? size : 0;
}

/* Returns where, UINT64_MAX: nowhere. */
static uint64_t patch(struct input *in, const char *path)
{
    uint64_t size = size_of(path), pos = take(in, 2) * 3;
    uint64_t n = take(in, 1), left = (uint64_t)(in->end - in->at);
    if (size == 0 || n == 0 || left == 0) return UINT64_MAX;
    pos %= size;
    n = MIN(MIN(n, left), size - pos);
    CHECK_OK(sim_file_write(w.machine, path, pos, in->at, (uint32_t)n));
    in->at += n;
    return pos;
}

static void cut(struct input *in, const char *path)
{
    uint64_t size = size_of(path), to = take(in, 2) * 3;
    if (size > 0) CHECK_OK(sim_file_truncate(w.machine, path, to % size));
}

static void seal_page(uint64_t pos)
{
    uint8_t page[BLOCK_BYTES];
    uint64_t at = align_down(pos, BLOCK_BYTES);
    if (pos == UINT64_MAX || sim_file_read(w.machine, LIDX_PATH, at, page, sizeof page) != STATUS_OK) return;
    store_le32(page + SEALED_CRC_AT, sealed_crc(page, sizeof page));
    CHECK_OK(sim_file_write(w.machine, LIDX_PATH, at, page, sizeof page));
    forged = true;
}

static void fix_batch(uint64_t pos)
{
    uint64_t size = size_of(LOG_PATH);
    uint8_t *log = malloc(size + 1);
    struct batch_info info;
    CHECK_OK(sim_file_read(w.machine, LOG_PATH, 0, log, (uint32_t)size));
    for (uint64_t at = 0; at < size && batch_parse(log + at, size - at, &info) == STATUS_OK; at += info.size_bytes) {
        if (pos < at || pos >= at + info.size_bytes) continue;
        store_be32(log + at + 17, crc32c(0, log + at + 21, info.size_bytes - 21));
        CHECK_OK(sim_file_write(w.machine, LOG_PATH, at, log + at, info.size_bytes));
        break;
    }
    free(log);
}

static void replace(struct input *in, const char *path)
{
    (void)!sim_file_remove(w.machine, path);
    if (in->at < in->end) CHECK_OK(sim_file_write(w.machine, path, 0, in->at, (uint32_t)(in->end - in->at)));
    in->at = in->end;
}

static void run_script(struct input *in)
{
    for (int ops = 0; in->at < in->end && ops < 40; ops++) {
        switch (take(in, 1) % 9) {
        case 0: (void)patch(in, LOG_PATH); break;
        case 1: (void)patch(in, LIDX_PATH); break;
        case 2: cut(in, LOG_PATH); break;
        case 3: cut(in, LIDX_PATH); break;
        case 4: (void)!sim_file_remove(w.machine, LIDX_PATH); break;
        case 5: seal_page(patch(in, LIDX_PATH)); break;
        case 6: {
            uint64_t pos = patch(in, LOG_PATH);
            if (pos != UINT64_MAX) fix_batch(pos);
            break;
        }
        case 7: replace(in, LOG_PATH); break;
        default: replace(in, LIDX_PATH); break;
        }
    }
}

/* --- the judge --- */

static void judge_read(struct partition *p, int64_t offset, uint32_t max_bytes)
{
    static struct partition_read r;
    enum status status = world_read(&w, p, offset, max_bytes, &r);
    CHECK(status == STATUS_OK || (offset < FIRST && status == STATUS_DAMAGED));
    if (status != STATUS_OK) return;
    CHECK(r.slice_count > 0);
    for (uint32_t i = 0; i < r.slice_count; i++) {
        const uint8_t *at = slice_data(r.slices[i]);
        for (uint32_t left = r.slices[i].len; left > 0;) {
            struct batch_info info;
            CHECK_OK(batch_parse(at, left, &info));
            CHECK(batch_last_offset(&info) >= offset && info.base_offset < RECORDS);
            CHECK(forged || batch_crc_valid(at, &info));
            at += info.size_bytes;
            left -= info.size_bytes;
        }
    }
    partition_read_release(&r);
}

static void judge_lookup(struct partition *p, int64_t time_ms)
{
    struct partition_lookup k;
    enum status status = world_lookup(&w, p, time_ms, &k);
    if (status == STATUS_OK) CHECK(k.offset >= -1 && k.offset < RECORDS);
    CHECK(status != STATUS_UNSUPPORTED && status != STATUS_NOT_LEADER && status != STATUS_FENCED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.at = data, .end = data + size};
    if (sound == NULL) make_disk();
    if (size > 1 << 20) return 0;
    sim_disk_restore(w.machine, sound);
    forged = false;
    if (size > 0) run_script(&in);
    CHECK_OK(world_boot(&w, 1));
    struct partition *p = world_find(&w, "t", 0);
    CHECK(p != NULL && partition_status(p) == STATUS_OK && partition_log_end(p) == RECORDS);
    for (int64_t offset = RECORDS - 1; offset >= 0; offset--) judge_read(p, offset, offset % 2 == 0 ? 1 : 60000);
    judge_lookup(p, -3);
    judge_lookup(p, WORLD_TIME_MS + 2);
    judge_lookup(p, WORLD_TIME_MS + 5);
    for (int64_t offset = 0; offset < FIRST; offset++) judge_read(p, offset, 300000);
    CHECK_OK(world_stop(&w));
    return 0;
}
