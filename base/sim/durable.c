// SPDX-License-Identifier: Apache-2.0
/* What is on the medium: syncs, failed syncs, power cuts.
 *
 * Happy path: a file's changes wait as vops, in order; a sync applies those that were complete when it was submitted to
 * the stable image. Two rules reach beyond the file: (1) every sync flushes the device, so O_DIRECT writes over bytes
 * that already have their place on the medium become durable whatever file they belong to (fs->flush); (2)
 * ext4-ordered: one journal of names, sizes and block maps, committed whole by any sync, growing data before it.
 *
 * Power cut: what waits is kept, dropped or torn by chance: data per 512-byte sector in any order; sizes and names by
 * the strength chosen: ext4-ordered keeps a prefix of them, weak POSIX any subset. Then the cache is what the medium
 * holds. Failed sync: the bytes of each piece are written or lost, all are clean afterwards, so the next sync says OK:
 * nothing is retried. The drive may lose what it holds of other files with it (rule D9). */
#include "base/sim/sim_impl.h"

static bool ordered(const struct fs *fs)
{
    return fs->config->names == SIM_EXT4_ORDERED;
}

static bool vop_is_metadata(const struct vop *v)
{
    return v->kind != VOP_WRITE || v->grows || v->maps;
}

static void vop_apply(struct sim_image *to, const struct vop *v)
{
    switch (v->kind) {
    case VOP_WRITE: sim_image_write(to, v->pos, v->len, v->data, v->grows); break;
    case VOP_SIZE: sim_image_resize(to, v->pos); break;
    case VOP_RESERVE:
        sim_image_reserve(to, v->pos, v->len);
        if (v->grows && v->pos + v->len > to->size) to->size = v->pos + v->len;
        break;
    }
}

static void inode_clean_if_empty(struct inode *i)
{
    if (list_empty(&i->vops) && list_linked(&i->in_dirty)) list_remove(&i->in_dirty);
}

static void inode_commit(struct inode *i, uint64_t upto)
{
    list_each (n, &i->vops) {
        struct vop *v = container_of(n, struct vop, in_file);
        if (v->seq > upto) break;
        vop_apply(&i->stable, v);
        vop_free(v);
    }
    inode_clean_if_empty(i);
}

/* ---- names ---- */
static void name_op_free(struct fs *fs, struct name_op *op)
{
    list_remove(&op->in_fs);
    inode_unref(fs, op->dir);
    if (op->inode != NULL) inode_unref(fs, op->inode);
    free(op);
}

static void names_commit(struct fs *fs, struct inode *dir, uint64_t upto) /* dir NULL: all */
{
    list_each (n, &fs->name_ops) {
        struct name_op *op = container_of(n, struct name_op, in_fs);
        if (op->seq > upto) break;
        if (dir != NULL && op->dir != dir) continue;
        names_set(fs, &op->dir->stable_names, op->name, op->inode);
        name_op_free(fs, op);
    }
}

/* The last change up to `upto` that the metadata journal carries; 0: none. */
static uint64_t last_metadata(const struct inode *i, uint64_t upto)
{
    uint64_t last = 0;
    list_each (n, &i->vops) {
        const struct vop *v = container_of(n, struct vop, in_file);
        if (v->seq > upto) break;
        if (vop_is_metadata(v)) last = v->seq;
    }
    return last;
}

/* ext4-ordered: the journal up to there; data that a size or block map speaks of goes before it. */
static void journal_commit(struct fs *fs, uint64_t upto)
{
    names_commit(fs, NULL, upto);
    list_each (n, &fs->dirty) {
        struct inode *i = container_of(n, struct inode, in_dirty);
        inode_commit(i, last_metadata(i, upto));
    }
}

static void device_flush(struct fs *fs, uint64_t upto)
{
    list_each (n, &fs->flush) {
        struct vop *v = container_of(n, struct vop, in_flush);
        if (v->seq > upto) break;
        struct inode *i = v->inode;
        vop_apply(&i->stable, v);
        vop_free(v);
        inode_clean_if_empty(i);
    }
    if (ordered(fs)) journal_commit(fs, upto);
}

/* ---- syncs ---- */
void fs_sync_file(struct fs *fs, struct inode *i, uint64_t upto)
{
    inode_commit(i, upto);
    device_flush(fs, upto);
}

void fs_sync_dir(struct fs *fs, struct inode *dir, uint64_t upto)
{
    names_commit(fs, dir, upto);
    device_flush(fs, upto);
}

void fs_sync_all(struct fs *fs, uint64_t upto)
{
    names_commit(fs, NULL, upto);
    list_each (n, &fs->dirty) inode_commit(container_of(n, struct inode, in_dirty), upto);
}

void fs_sync_write(struct fs *fs, struct inode *i, uint64_t seq)
{
    list_each (n, &i->vops) {
        struct vop *v = container_of(n, struct vop, in_file);
        if (v->seq != seq) continue;
        if (!list_linked(&v->in_flush) || fs->config->dsync_flushes) {
            fs_sync_file(fs, i, seq); /* size or blocks must become durable, too: a whole sync */
        } else {
            vop_apply(&i->stable, v); /* forced unit access: this write alone */
            vop_free(v);
            inode_clean_if_empty(i);
        }
        return;
    }
}

/* The bytes never came; size and block map, which the file system's journal carries, do: what was never written there
 * before is zeros now. */
static void vop_lose(struct sim_image *to, const struct vop *v)
{
    static const uint8_t zeros[SIM_PAGE];
    for (uint64_t at = align_down(v->pos, SIM_PAGE); at < v->pos + v->len; at += SIM_PAGE)
        if (!sim_image_written(to, at, 1)) sim_image_write(to, at, SIM_PAGE, zeros, false);
    if (v->grows) to->size = MAX(to->size, v->pos + v->len);
}

/* Clean pages may be evicted, and a drive's cache may forget, at any time: then reads show the medium. */
static void show_medium(struct fs *fs, struct inode *i)
{
    if (prng_below(&fs->sim->disk, 2) != 0) return;
    uint64_t size = i->cache.size;
    fs->used_pages -= i->cache.mapped;
    sim_image_copy(&i->cache, &i->stable);
    list_each (n, &i->vops) vop_apply(&i->cache, container_of(n, struct vop, in_file));
    i->cache.size = size;
    fs->used_pages += i->cache.mapped;
}

static void sync_file_failed(struct fs *fs, struct inode *i, uint64_t safe, uint64_t upto)
{
    list_each (n, &i->vops) {
        struct vop *v = container_of(n, struct vop, in_file);
        if (v->seq > upto) break;
        if (v->seq <= safe) continue;
        if (v->kind != VOP_WRITE || prng_below(&fs->sim->disk, 2) == 0)
            vop_apply(&i->stable, v);
        else
            vop_lose(&i->stable, v);
        vop_free(v);
    }
    show_medium(fs, i);
    inode_clean_if_empty(i);
}

/* One write that the drive held: gone, or zeros where the file system goes on to give its blocks to the file. */
static void drive_drop(struct fs *fs, struct vop *v)
{
    fs->sim->counters.flush_drops++;
    if (list_linked(&v->in_flush))
        vop_free(v);
    else
        memset(v->data, 0, v->len);
}

/* The drive may drop what else is in its cache, of any file; not what an earlier flush, still under way, covers. */
static void drive_drops(struct fs *fs, uint64_t safe, uint64_t upto)
{
    if (prng_below(&fs->sim->disk, 2) != 0) return;
    list_each (d, &fs->dirty) {
        struct inode *i = container_of(d, struct inode, in_dirty);
        bool dropped = false;
        list_each (n, &i->vops) {
            struct vop *v = container_of(n, struct vop, in_file);
            if (v->seq > upto) break;
            if (v->seq <= safe || v->kind != VOP_WRITE || !v->direct || prng_below(&fs->sim->disk, 2) != 0) continue;
            drive_drop(fs, v);
            dropped = true;
        }
        if (dropped) show_medium(fs, i);
        inode_clean_if_empty(i);
    }
}

void fs_sync_failed(struct fs *fs, struct inode *i, uint64_t safe, uint64_t upto)
{
    if (i != NULL) {
        sync_file_failed(fs, i, safe, upto);
        drive_drops(fs, safe, upto);
        return;
    }
    list_each (n, &fs->dirty) {
        struct inode *dirty = container_of(n, struct inode, in_dirty);
        inode_ref(dirty);
        sync_file_failed(fs, dirty, safe, upto);
        inode_unref(fs, dirty);
    }
}

/* ---- power cut ---- */
/* Each sector on its own: kept, dropped or torn after some byte. */
static void cut_write(struct fs *fs, struct inode *i, const struct vop *v)
{
    struct prng *p = &fs->sim->disk;
    struct sim_counters *c = &fs->sim->counters;
    uint64_t mood = prng_below(p, 4); /* whole writes that survive or vanish are common in life, and cheap to miss */
    for (uint64_t at = 0; at < v->len;) {
        uint64_t room = SIM_SECTOR - (v->pos + at) % SIM_SECTOR, part = MIN(room, v->len - at);
        uint64_t luck = mood == 0 ? 15 : mood == 1 ? 0 : prng_below(p, 16);
        uint64_t keep = luck >= 8 ? part : luck == 7 ? prng_below(p, part) : 0;
        if (keep > 0) sim_image_write(&i->stable, v->pos + at, keep, v->data + at, false);
        if (luck >= 8)
            c->sectors_kept++;
        else if (luck == 7)
            c->sectors_torn++;
        else
            c->sectors_dropped++;
        at += part;
    }
}

static void cut_inode(struct fs *fs, struct inode *i, uint64_t journal_end)
{
    struct prng *p = &fs->sim->disk;
    if (ordered(fs)) inode_commit(i, last_metadata(i, journal_end));
    list_each (n, &i->vops) {
        struct vop *v = container_of(n, struct vop, in_file);
        bool keep = !ordered(fs) && prng_below(p, 2) == 0;
        if (v->kind == VOP_WRITE) {
            cut_write(fs, i, v);
            if (v->grows && keep) i->stable.size = MAX(i->stable.size, v->pos + v->len);
        } else if (keep) {
            vop_apply(&i->stable, v);
        }
        vop_free(v);
    }
    sim_image_resize(&i->stable, i->stable.size); /* bytes whose size was lost are out of reach */
    inode_clean_if_empty(i);
}

static void cut_names(struct fs *fs, uint64_t journal_end)
{
    uint64_t group = 0;
    bool group_kept = false;
    if (ordered(fs)) {
        /* A rename is one transaction: never cut inside a group. */
        list_each (n, &fs->name_ops) {
            const struct name_op *op = container_of(n, struct name_op, in_fs);
            if (op->group != 0 && op->group <= journal_end && op->seq > journal_end) journal_end = op->seq;
        }
        names_commit(fs, NULL, journal_end);
    }
    list_each (n, &fs->name_ops) {
        struct name_op *op = container_of(n, struct name_op, in_fs);
        bool keep = !ordered(fs) && prng_below(&fs->sim->disk, 2) == 0;
        if (op->group != 0 && op->group == group) keep = group_kept;
        group = op->group;
        group_kept = keep;
        if (keep)
            names_set(fs, &op->dir->stable_names, op->name, op->inode);
        else
            fs->sim->counters.names_dropped++;
        name_op_free(fs, op);
    }
}

/* After the cut: what the medium holds is what there is. */
static void reload(struct fs *fs, struct inode *i)
{
    fs->used_pages -= i->cache.mapped;
    sim_image_copy(&i->cache, &i->stable);
    fs->used_pages += i->cache.mapped;
    i->lock = NULL;
    names_copy(fs, &i->names, &i->stable_names);
    for (size_t n = 0; n < i->names.count; n++) reload(fs, i->names.at[n].inode);
}

static uint64_t first_pending(const struct fs *fs)
{
    uint64_t first = fs->seq;
    const struct list_node *n = list_first(&fs->name_ops);
    if (n != NULL) first = container_of(n, const struct name_op, in_fs)->seq;
    list_each (d, &fs->dirty) {
        const struct inode *i = container_of(d, struct inode, in_dirty);
        const struct vop *v = container_of(list_first(&i->vops), struct vop, in_file);
        first = MIN(first, v->seq);
    }
    return first == 0 ? 0 : first - 1;
}

void fs_power_cut(struct fs *fs)
{
    uint64_t first = first_pending(fs), journal_end = first + prng_below(&fs->sim->disk, fs->seq - first + 1);
    list_each (n, &fs->dirty) {
        struct inode *i = container_of(n, struct inode, in_dirty);
        inode_ref(i); /* its last name may go with the cut */
        cut_inode(fs, i, journal_end);
        inode_unref(fs, i);
    }
    cut_names(fs, journal_end);
    reload(fs, fs->root);
}

/* ---- damage at rest ---- */
void fs_rot(struct fs *fs, struct inode *i, uint64_t pos, uint64_t len, bool zero)
{
    if (len == 0 || pos >= i->cache.size) return;
    len = MIN(len, i->cache.size - pos);
    uint64_t at = pos + prng_below(&fs->sim->disk, len);
    uint8_t sector[SIM_SECTOR] = {0};
    struct sim_image *images[] = {&i->cache, &i->stable};
    uint8_t bit = (uint8_t)(1u << prng_below(&fs->sim->disk, 8));
    for (size_t n = 0; n < COUNT_OF(images); n++) {
        uint64_t start = align_down(at, SIM_SECTOR);
        if (at >= images[n]->size) continue;
        uint64_t part = MIN((uint64_t)SIM_SECTOR, images[n]->size - start);
        sim_image_read(images[n], start, part, sector);
        if (zero)
            memset(sector, 0, part);
        else
            sector[at - start] ^= bit;
        sim_image_write(images[n], start, part, sector, false);
    }
}
