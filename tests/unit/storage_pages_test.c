// SPDX-License-Identifier: Apache-2.0
/* One-page files: the control page of a journal and leat.directory. What is encoded comes back; what was changed by one
 * bit or cut anywhere does not. */
#include "base/bytes.h"
#include "base/crc32c.h"
#include "storage/control.h"
#include "storage/directory_file.h"
#include "tests/unit/check_main.h"

static struct control sample(uint32_t files)
{
    struct control c = {.page = 7,
                        .incarnation = 1ull << 40,
                        .accepted_end = 99,
                        .broker_epoch = UINT64_MAX,
                        .shard = 3,
                        .next_file = 300,
                        .flags = CONTROL_CLEAN,
                        .file_count = files};
    memset(c.journal.b, 0xa1, sizeof c.journal.b);
    memset(c.directory.b, 0xd2, sizeof c.directory.b);
    for (uint32_t i = 0; i < files; i++)
        c.files[i] = (struct ring_file){.number = 1000 + i, .bytes = (uint64_t)(8 + i) * BLOCK_BYTES};
    return c;
}

static void seal(uint8_t page[BLOCK_BYTES]) /* a forged page with a right CRC: bytes 12..16 count as 0 */
{
    store_le32(page + 12, 0);
    store_le32(page + 12, crc32c(0, page, BLOCK_BYTES));
}

static void control_comes_back(void)
{
    static const uint32_t counts[] = {0, 1, 2, RING_FILES_MAX};
    for (unsigned i = 0; i < 4; i++) {
        struct control c = sample(counts[i]), d;
        uint8_t page[BLOCK_BYTES];
        uint32_t version = 77;
        control_encode(page, &c);
        memset(&d, 0x55, sizeof d);
        ASSERT_EQ(control_decode(page, &d, &version), STATUS_OK);
        ASSERT_EQ(version, CONTROL_VERSION);
        ASSERT(memcmp(&c.journal, &d.journal, 16) == 0 && memcmp(&c.directory, &d.directory, 16) == 0);
        ASSERT(c.page == d.page && c.incarnation == d.incarnation && c.accepted_end == d.accepted_end);
        ASSERT(c.broker_epoch == d.broker_epoch && c.shard == d.shard && c.next_file == d.next_file);
        ASSERT(c.flags == d.flags && c.file_count == d.file_count);
        for (uint32_t k = 0; k < c.file_count; k++)
            ASSERT(c.files[k].number == d.files[k].number && c.files[k].bytes == d.files[k].bytes);
    }
}

static enum status decode(bool control, const uint8_t *page, uint32_t *ret_version)
{
    struct control c;
    struct directory_file d;
    return control ? control_decode(page, &c, ret_version) : directory_file_decode(page, &d, ret_version);
}

static void page_of(bool control, uint8_t page[BLOCK_BYTES])
{
    struct control c = sample(2);
    struct directory_file d = {.journals = 4};
    memset(d.id.b, 0x3c, sizeof d.id.b);
    if (control)
        control_encode(page, &c);
    else
        directory_file_encode(page, &d);
}

static void each_flipped_bit_is_seen(void)
{
    for (int control = 0; control < 2; control++) {
        uint8_t page[BLOCK_BYTES];
        uint32_t version;
        page_of(control, page);
        ASSERT_EQ(decode(control, page, &version), STATUS_OK);
        for (uint32_t bit = 0; bit < BLOCK_BYTES * 8; bit++) {
            page[bit / 8] ^= (uint8_t)(1 << bit % 8);
            /* a foreign magic is no page of ours; all else, the version too, is under the CRC */
            ASSERT_EQ(decode(control, page, &version), bit < 64 ? STATUS_FORMAT : STATUS_DAMAGED);
            ASSERT(bit >= 64 || version == 0);
            page[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void each_cut_is_seen(void)
{
    for (int control = 0; control < 2; control++) {
        uint8_t page[BLOCK_BYTES], cut[BLOCK_BYTES];
        uint32_t version, last = 0;
        page_of(control, page);
        for (uint32_t i = 0; i < BLOCK_BYTES; i++)
            if (page[i] != 0) last = i;
        for (uint32_t at = 0; at <= last; at++) { /* the rest never arrived: zeros */
            memset(cut, 0, sizeof cut);
            memcpy(cut, page, at);
            ASSERT(decode(control, cut, &version) != STATUS_OK);
        }
    }
}

static void a_newer_version_is_named(void)
{
    for (int control = 0; control < 2; control++) {
        uint8_t page[BLOCK_BYTES];
        uint32_t version = 0;
        page_of(control, page);
        store_le32(page + 8, 9);
        seal(page);
        ASSERT_EQ(decode(control, page, &version), STATUS_FORMAT);
        ASSERT_EQ(version, 9);
    }
}

/* A right CRC over wrong numbers: a bug or a forger; neither may lead us out of an array. */
static void forged_numbers_are_refused(void)
{
    static const struct {
        uint32_t at;
        uint32_t value;
        enum status status;
    } forged[] = {
        {60, RING_FILES_MAX + 1, STATUS_DAMAGED},
        {60, UINT32_MAX, STATUS_DAMAGED},
        {60, 3, STATUS_DAMAGED}, /* a third file of 0 bytes */
        {136, 7 * BLOCK_BYTES, STATUS_DAMAGED},
        {136, 8 * BLOCK_BYTES + 512, STATUS_DAMAGED},
        {136, 8 * BLOCK_BYTES, STATUS_OK},
        {60, 1, STATUS_OK},
    };
    for (unsigned i = 0; i < sizeof forged / sizeof forged[0]; i++) {
        uint8_t page[BLOCK_BYTES];
        uint32_t version;
        page_of(true, page);
        store_le32(page + forged[i].at, forged[i].value);
        seal(page);
        ASSERT_EQ(decode(true, page, &version), forged[i].status);
    }
}

/* One file more than there is room for, each of them sound. */
static void too_many_files_are_refused(void)
{
    struct control c = sample(RING_FILES_MAX), d;
    uint8_t page[BLOCK_BYTES];
    uint32_t version;
    control_encode(page, &c);
    store_le32(page + 60, RING_FILES_MAX + 1);
    store_le64(page + 128 + 16 * RING_FILES_MAX + 8, 8 * BLOCK_BYTES);
    seal(page);
    ASSERT_EQ(control_decode(page, &d, &version), STATUS_DAMAGED);
}

static void directory_comes_back(void)
{
    uint8_t page[BLOCK_BYTES];
    uint32_t version = 0;
    struct directory_file d = {0};
    page_of(false, page);
    ASSERT_EQ(directory_file_decode(page, &d, &version), STATUS_OK);
    ASSERT(version == DIRECTORY_VERSION && d.journals == 4 && d.id.b[0] == 0x3c && d.id.b[15] == 0x3c);
}

TEST_MAIN("storage pages", {"a control page comes back", control_comes_back},
          {"a directory page comes back", directory_comes_back}, {"each flipped bit is seen", each_flipped_bit_is_seen},
          {"each cut is seen", each_cut_is_seen}, {"a newer version is named", a_newer_version_is_named},
          {"forged numbers are refused", forged_numbers_are_refused},
          {"too many files are refused", too_many_files_are_refused})
