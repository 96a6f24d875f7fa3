// SPDX-License-Identifier: Apache-2.0
/* The small files: control (two pages in turn), leat.directory and partition.metadata (one page each).
 *
 * Failure modes: a control file with one sound page is in order only if the other was never written or was torn by a
 * crash; which of these it is the ring tells (recovery refuses to start if groups are newer than the page): a note. */
#include "tools/leat/dump.h"

#include "base/bytes.h"
#include "storage/control.h"
#include "storage/directory_file.h"
#include "storage/sealed.h"
#include <string.h>

#define PARTITION_MAGIC   0x545241505441454cull /* "LEATPART" */
#define PARTITION_VERSION 1u
#define NAME_AT           46u

static void print_control(struct dump *d, uint64_t pos, const struct control *c)
{
    dump_begin(d, "control");
    dump_uint(d, "position", pos);
    dump_uint(d, "page", c->page);
    dump_hex(d, "journal", c->journal.b, sizeof c->journal.b);
    dump_hex(d, "directory", c->directory.b, sizeof c->directory.b);
    dump_uint(d, "incarnation", c->incarnation);
    dump_uint(d, "accepted_end", c->accepted_end);
    dump_uint(d, "broker_epoch", c->broker_epoch);
    dump_uint(d, "shard", c->shard);
    dump_uint(d, "next_file", c->next_file);
    if ((c->flags & CONTROL_CLEAN) != 0) dump_word(d, "clean_stop", "yes");
    dump_uint(d, "files", c->file_count);
    dump_end(d);
    for (uint32_t i = 0; i < c->file_count; i++) {
        dump_begin(d, "ring_file");
        dump_uint(d, "number", c->files[i].number);
        dump_uint(d, "bytes", c->files[i].bytes);
        dump_end(d);
        d->things--;
    }
}

static enum status control_page(struct dump *d, uint64_t pos, struct control *ret_control, uint32_t *ret_version)
{
    enum status s;
    do {
        const uint8_t *p = source_at(d->source, pos, BLOCK_BYTES);
        s = p == NULL ? STATUS_IO_ERROR : control_decode(p, ret_control, ret_version);
    } while (s != STATUS_OK && source_again(d->source));
    source_fine(d->source);
    return s;
}

void dump_control(struct dump *d)
{
    uint64_t sound = 0, newest = 0;
    for (uint64_t pos = 0; pos + BLOCK_BYTES <= d->source->size && pos < 2 * BLOCK_BYTES; pos += BLOCK_BYTES) {
        struct control c;
        uint32_t version;
        enum status s = control_page(d, pos, &c, &version);
        if (s == STATUS_OK) {
            print_control(d, pos, &c);
            sound++;
            newest = MAX(newest, c.page);
        } else if (s == STATUS_FORMAT && version > CONTROL_VERSION) {
            dump_damage(d, pos, BLOCK_BYTES, "format version %u, this tool knows %u", version, CONTROL_VERSION);
        } else {
            dump_note(d, pos,
                      source_zero(d->source, pos, pos + BLOCK_BYTES)
                          ? "this page was not written yet"
                          : "this page fails its checksum: torn by a crash, or damaged");
        }
    }
    if (sound == 0) dump_damage(d, 0, d->source->size, "no sound page: the journal cannot be opened");
    dump_sum(d);
    dump_uint(d, "sound", sound);
    dump_uint(d, "page", newest);
    dump_end(d);
}

/* The file's one page with a right checksum; NULL: damage was told. */
static const uint8_t *one_page(struct dump *d, uint64_t magic, uint32_t version)
{
    if (d->source->size < BLOCK_BYTES) {
        dump_damage(d, 0, d->source->size, "shorter than its page of %u bytes", BLOCK_BYTES);
        return NULL;
    }
    const uint8_t *p;
    bool good;
    do {
        p = source_at(d->source, 0, BLOCK_BYTES);
        good = p != NULL && load_le64(p) == magic && load_le32(p + SEALED_CRC_AT) == sealed_crc(p, BLOCK_BYTES);
    } while (!good && source_again(d->source));
    if (!good) {
        dump_damage(d, 0, BLOCK_BYTES, "the page fails its checksum");
    } else if (load_le32(p + 8) != version) {
        dump_damage(d, 0, BLOCK_BYTES, "format version %u, this tool knows %u", load_le32(p + 8), version);
        return NULL;
    }
    if (good && d->source->size > BLOCK_BYTES) dump_note(d, BLOCK_BYTES, "bytes behind the page");
    return good ? p : NULL;
}

void dump_directory(struct dump *d)
{
    struct directory_file f;
    uint32_t version;
    const uint8_t *p = one_page(d, DIRECTORY_MAGIC, DIRECTORY_VERSION);
    if (p == NULL || directory_file_decode(p, &f, &version) != STATUS_OK) return;
    dump_begin(d, "directory");
    dump_hex(d, "id", f.id.b, sizeof f.id.b);
    dump_uint(d, "journals", f.journals);
    dump_end(d);
}

void dump_partition(struct dump *d)
{
    const uint8_t *p = one_page(d, PARTITION_MAGIC, PARTITION_VERSION);
    if (p == NULL) return;
    uint16_t name_bytes = load_le16(p + 44);
    if (name_bytes == 0 || name_bytes > TOPIC_NAME_MAX) {
        dump_damage(d, 44, 2, "a topic name of %u bytes", name_bytes);
        return;
    }
    dump_begin(d, "partition");
    dump_bytes(d, "topic", p + NAME_AT, name_bytes);
    dump_hex(d, "topic_id", p + 16, 16);
    dump_int(d, "partition", (int32_t)load_le32(p + 40));
    dump_uint(d, "creation", load_le64(p + 32));
    dump_end(d);
}
