// SPDX-License-Identifier: Apache-2.0
/* One file op of a simulated process, from env_submit to completion, and what may go wrong with it.
 *
 * Happy path: submit draws the fault (scripts first) and a latency; reads, writes and data syncs run side by side and
 * so complete in any order; of the blocking calls of a shard ENV_WORKERS at once. The op takes effect at its
 * completion; a sync covers what was complete when it was submitted. A killed process: writes in flight become
 * orphans that hold their open file (and its lock) and still land within linger_ns, or never; the blocking calls at
 * work may have had their effect; all else vanishes. */
#include "base/sim/sim_impl.h"

#include "base/crc32c.h"

static const int64_t stall_default_ns = 30 * NS_PER_S;

/* ---- faults ---- */
#define KIND(k) (1ull << (k))
#define KINDS_CHANGE                                                                                                   \
    (KIND(IO_WRITE) | KIND(IO_OPEN) | KIND(IO_TRUNCATE) | KIND(IO_ALLOCATE) | KIND(IO_RENAME) | KIND(IO_UNLINK) |      \
     KIND(IO_MKDIR) | KIND(IO_RMDIR))

static bool is_sync(enum io_kind k)
{
    return k == IO_DATASYNC || k == IO_SYNC || k == IO_SYNC_DIR || k == IO_SYNC_FS;
}

static uint64_t fault_kinds(enum sim_fault f)
{
    static const uint64_t kinds[SIM_FAULT_COUNT] = {
        [SIM_FAULT_EIO] = UINT64_MAX,
        [SIM_FAULT_NO_SPACE] = KINDS_CHANGE,
        [SIM_FAULT_READ_ONLY] = KINDS_CHANGE,
        [SIM_FAULT_TOO_MANY] = KIND(IO_OPEN),
        [SIM_FAULT_SHORT] = KIND(IO_READ) | KIND(IO_WRITE),
        [SIM_FAULT_FLIP_READ] = KIND(IO_READ),
        [SIM_FAULT_FLIP_REST] = KIND(IO_READ) | KIND(IO_WRITE),
        [SIM_FAULT_ZERO] = KIND(IO_READ) | KIND(IO_WRITE),
        [SIM_FAULT_LOST] = KIND(IO_WRITE),
        [SIM_FAULT_WRONG_OFFSET] = KIND(IO_WRITE),
        [SIM_FAULT_WRONG_FILE] = KIND(IO_WRITE),
        [SIM_FAULT_STALL] = UINT64_MAX & ~KIND(IO_CLOSE),
    };
    return kinds[f];
}

void sim_watch(struct sim_machine *m, struct sim_watch *w)
{
    m->watch = w;
}

static void tell_watch(const struct sim_io *io, const char *path, bool begins, enum status st)
{
    struct sim_watch *w = io->machine->watch;
    if (w != NULL) w->op(w, io->kind, path, begins, st);
}

void sim_fault_add(struct sim_machine *m, const struct sim_fault_rule *rule)
{
    CHECK(m->rule_count < SIM_RULES_MAX);
    CHECK(rule->fault > SIM_FAULT_NONE && rule->fault < SIM_FAULT_COUNT);
    m->rules[m->rule_count++] = (struct rule_state){.rule = *rule};
}

void sim_fault_clear(struct sim_machine *m)
{
    m->rule_count = 0;
}

uint64_t sim_fault_ops(const struct sim_machine *m)
{
    return m->ops_seen;
}

static bool rule_hits(struct sim *s, struct rule_state *r)
{
    if (r->rule.nth == 0) return sim_chance(&s->disk, r->rule.chance_ppm);
    uint64_t count = MAX(r->rule.count, (uint64_t)1);
    r->seen++;
    return r->seen >= r->rule.nth && r->seen - r->rule.nth < count;
}

static void fault_draw(struct sim_io *io, const char *path)
{
    struct sim_machine *m = io->machine;
    m->ops_seen++;
    for (uint32_t n = 0; n < m->rule_count; n++) {
        struct rule_state *r = &m->rules[n];
        uint64_t kinds = fault_kinds(r->rule.fault) & (r->rule.kinds == 0 ? UINT64_MAX : r->rule.kinds);
        if (!(kinds & KIND(io->kind))) continue;
        if (r->rule.path != NULL && (path == NULL || !fs_name_matches(r->rule.path, path))) continue;
        if (!rule_hits(m->sim, r) || io->fault != SIM_FAULT_NONE) continue;
        io->fault = r->rule.fault;
        m->sim->counters.faults[io->fault]++;
        int64_t delay = r->rule.delay_ns;
        if (io->fault == SIM_FAULT_STALL && delay == 0) delay = stall_default_ns;
        io->dead_delay = delay == INT64_MAX;
        if (io->fault == SIM_FAULT_EIO && is_sync(io->kind))
            io->silence = delay; /* the drive has failed and does not say so yet */
        else if (!io->dead_delay)
            io->latency += delay;
    }
}

/* ---- effects: each returns the status and sets *result ---- */
static enum status do_read(struct sim_io *io, int64_t *result)
{
    struct io_op *op = io->op;
    struct fs *fs = &io->machine->fs;
    struct inode *i = io->open->inode;
    if (io->fault == SIM_FAULT_EIO) return STATUS_IO_ERROR;
    if (io->fault == SIM_FAULT_FLIP_REST || io->fault == SIM_FAULT_ZERO)
        fs_rot(fs, i, op->pos, op->len, io->fault == SIM_FAULT_ZERO);
    uint64_t len = op->pos >= i->cache.size ? 0 : MIN((uint64_t)op->len, i->cache.size - op->pos);
    if (io->fault == SIM_FAULT_SHORT && len > 1) {
        uint64_t unit = io->open->flags & IO_DIRECT ? SIM_PAGE : 1;
        if (len > unit) len = unit * (1 + prng_below(&fs->sim->disk, (len - 1) / unit));
    }
    sim_image_read(&i->cache, op->pos, len, op->data);
    if (io->fault == SIM_FAULT_FLIP_READ && len > 0)
        ((uint8_t *)op->data)[prng_below(&fs->sim->disk, len)] ^= (uint8_t)(1u << prng_below(&fs->sim->disk, 8));
    *result = (int64_t)len;
    return STATUS_OK;
}

/* Any regular file of the disk but this one, by chance; NULL if there is none. */
static struct inode *pick_file(struct fs *fs, struct inode *dir, const struct inode * not, uint64_t *n)
{
    struct inode *picked = NULL;
    for (size_t at = 0; at < dir->names.count; at++) {
        struct inode *i = dir->names.at[at].inode, *found = NULL;
        if (i->is_dir)
            found = pick_file(fs, i, not, n);
        else if (i != not &&prng_below(&fs->sim->disk, ++*n) == 0)
            found = i;
        if (found != NULL) picked = found;
    }
    return picked;
}

static enum status do_write(struct sim_io *io, int64_t *result)
{
    struct fs *fs = &io->machine->fs;
    struct inode *i = io->open->inode;
    bool direct = io->open->flags & IO_DIRECT;
    const void *data = io->op == NULL ? io->data : io->op->data;
    uint64_t pos = io->pos, len = io->len, unit = direct ? SIM_PAGE : 1;
    if (io->fault == SIM_FAULT_NO_SPACE) return STATUS_NO_SPACE;
    if (io->fault == SIM_FAULT_READ_ONLY) return STATUS_READ_ONLY;
    if (io->fault == SIM_FAULT_EIO) len = len / SIM_SECTOR * prng_below(&fs->sim->disk, 2) * SIM_SECTOR / 2;
    if (io->fault == SIM_FAULT_SHORT && len > unit) len = unit * (1 + prng_below(&fs->sim->disk, (len - 1) / unit));
    *result = (int64_t)len;
    if (io->fault == SIM_FAULT_LOST) return STATUS_OK;
    if (io->fault == SIM_FAULT_WRONG_OFFSET) {
        uint64_t blocks = i->cache.size / SIM_PAGE + 1;
        pos = (pos / SIM_PAGE + 1 + prng_below(&fs->sim->disk, blocks)) % (blocks + 1) * SIM_PAGE + pos % SIM_PAGE;
    }
    if (io->fault == SIM_FAULT_WRONG_FILE) {
        uint64_t n = 0;
        i = pick_file(fs, fs->root, i, &n);
        if (i == NULL) return STATUS_OK; /* nowhere else to land: lost */
    }
    enum status st = len == 0 ? STATUS_OK : fs_write(fs, i, pos, data, len, direct);
    if (st != STATUS_OK) return st;
    if (io->flags & IO_DSYNC) fs_sync_write(fs, i, fs->seq);
    if (io->fault == SIM_FAULT_FLIP_REST || io->fault == SIM_FAULT_ZERO)
        fs_rot(fs, i, pos, len, io->fault == SIM_FAULT_ZERO);
    return io->fault == SIM_FAULT_EIO ? STATUS_IO_ERROR : STATUS_OK;
}

static enum status do_open(struct sim_io *io, int64_t *result)
{
    struct sim_machine *m = io->machine;
    struct inode *i = NULL;
    if (m->file_count >= m->config.max_files) return STATUS_TOO_MANY_FILES;
    enum status st = fs_open(&m->fs, io->op->path, io->op->flags, &i);
    if (st != STATUS_OK) return st;
    uint32_t fd = 0;
    while (fd < m->file_capacity && m->files[fd] != NULL) fd++;
    if (fd == m->file_capacity) {
        m->file_capacity = m->file_capacity == 0 ? 16 : m->file_capacity * 2;
        m->files = realloc(m->files, m->file_capacity * sizeof(struct sim_open *));
        CHECK(m->files != NULL);
        memset(m->files + fd, 0, (m->file_capacity - fd) * sizeof(struct sim_open *));
    }
    struct sim_open *o = sim_alloc(sizeof *o);
    *o = (struct sim_open){.inode = i, .path = sim_strdup(io->op->path), .flags = io->op->flags, .refs = 1};
    inode_ref(i);
    m->files[fd] = o;
    m->file_count++;
    *result = fd;
    return STATUS_OK;
}

static enum status do_list(struct sim_io *io, int64_t *result)
{
    struct inode *dir = NULL;
    enum status st = fs_lookup(&io->machine->fs, io->op->path, &dir);
    if (st != STATUS_OK) return st;
    if (!dir->is_dir) return STATUS_INVALID;
    size_t used = 0;
    for (size_t n = 0; n < dir->names.count; n++) {
        size_t len = strlen(dir->names.at[n].name) + 1;
        if (used + len > io->op->len) return STATUS_BUSY;
        memcpy((char *)io->op->data + used, dir->names.at[n].name, len);
        used += len;
    }
    *result = (int64_t)used;
    return STATUS_OK;
}

static enum status do_stat(struct sim_io *io, int64_t *result)
{
    struct inode *i = NULL;
    enum status st = fs_lookup(&io->machine->fs, io->op->path, &i);
    if (st != STATUS_OK) return st;
    io->op->is_dir = i->is_dir;
    *result = (int64_t)i->cache.size;
    return STATUS_OK;
}

static enum status do_sync_dir(struct sim_io *io)
{
    struct inode *dir = NULL;
    enum status st = fs_lookup(&io->machine->fs, io->op->path, &dir);
    if (st == STATUS_OK) fs_sync_dir(&io->machine->fs, dir, io->upto);
    return st;
}

static enum status do_lock(struct sim_open *o)
{
    if (o->inode->lock != NULL && o->inode->lock != o) return STATUS_LOCKED;
    o->inode->lock = o;
    return STATUS_OK;
}

static enum status do_space(struct sim_io *io, int64_t *result)
{
    struct inode *i = NULL;
    enum status st = fs_lookup(&io->machine->fs, io->op->path, &i);
    if (st != STATUS_OK) return st;
    io->op->total_bytes = io->machine->config.capacity_bytes;
    *result = (int64_t)fs_free_bytes(&io->machine->fs);
    return STATUS_OK;
}

static enum status fault_status(const struct sim_io *io)
{
    switch ((int)io->fault) {
    case SIM_FAULT_EIO: return STATUS_IO_ERROR;
    case SIM_FAULT_NO_SPACE: return STATUS_NO_SPACE;
    case SIM_FAULT_READ_ONLY: return STATUS_READ_ONLY;
    case SIM_FAULT_TOO_MANY: return STATUS_TOO_MANY_FILES;
    default: return STATUS_OK;
    }
}

static enum status do_call(struct sim_io *io, int64_t *result)
{
    struct fs *fs = &io->machine->fs;
    struct io_op *op = io->op;
    switch ((int)io->kind) {
    case IO_OPEN: return do_open(io, result);
    case IO_CLOSE: /* the descriptor went at submission */ return STATUS_OK;
    case IO_DATASYNC:
    case IO_SYNC: fs_sync_file(fs, io->open->inode, io->upto); return STATUS_OK;
    case IO_SYNC_DIR: return do_sync_dir(io);
    case IO_SYNC_FS: fs_sync_all(fs, io->upto); return STATUS_OK;
    case IO_TRUNCATE: return fs_truncate(fs, io->open->inode, op->pos);
    case IO_ALLOCATE: return fs_reserve(fs, io->open->inode, op->pos, op->len);
    case IO_LOCK: return do_lock(io->open);
    case IO_RENAME: return fs_rename(fs, op->path, op->path2);
    case IO_UNLINK:
    case IO_RMDIR: return fs_remove(fs, op->path, io->kind == IO_RMDIR);
    case IO_MKDIR: return fs_mkdir(fs, op->path);
    case IO_LIST: return do_list(io, result);
    case IO_STAT: return do_stat(io, result);
    case IO_SPACE: return do_space(io, result);
    case IO_PROCESS: return STATUS_UNSUPPORTED;
    default: break;
    }
    CHECK(io->kind >= IO_OPEN); /* sockets are net.c's, reads and writes execute's */
    return STATUS_INVALID;
}

/* Acts on an open file, not on a path. */
static bool by_file(enum io_kind k)
{
    return k != IO_OPEN && k < IO_RENAME && k != IO_SYNC_DIR;
}

static bool changes_file(enum io_kind k)
{
    return k == IO_WRITE || k == IO_TRUNCATE || k == IO_ALLOCATE;
}

static bool misaligned(const struct sim_io *io)
{
    uint64_t all = io->pos | io->len | (io->op == NULL ? 0 : (uint64_t)(uintptr_t)io->op->data);
    return (io->open->flags & IO_DIRECT) && all % SIM_PAGE != 0;
}

/* What the latest sync covers that was submitted before this one and has not ended. */
static uint64_t earlier_sync(const struct sim_io *io)
{
    uint64_t latest = 0;
    for (uint32_t k = 0; k < io->machine->shard_count; k++) {
        list_each (n, &io->machine->shards[k].ios) {
            const struct sim_io *other = container_of(n, const struct sim_io, in_shard);
            if (is_sync(other->kind) && other->upto < io->upto) latest = MAX(latest, other->upto);
        }
    }
    return latest;
}

static enum status execute(struct sim_io *io, int64_t *result)
{
    bool data = io->kind == IO_READ || io->kind == IO_WRITE;
    CHECK((io->open != NULL) == by_file(io->kind));
    if (io->open != NULL && changes_file(io->kind) && (io->open->flags & IO_READONLY)) return STATUS_PERMISSION;
    if (data && (io->open->inode->is_dir || misaligned(io))) return STATUS_INVALID;
    if (io->kind == IO_READ) return do_read(io, result);
    if (io->kind == IO_WRITE) return do_write(io, result);
    enum status st = fault_status(io);
    if (st == STATUS_IO_ERROR && is_sync(io->kind) && io->kind != IO_SYNC_DIR)
        fs_sync_failed(&io->machine->fs, io->kind == IO_SYNC_FS ? NULL : io->open->inode, earlier_sync(io), io->upto);
    return st != STATUS_OK ? st : do_call(io, result);
}

/* ---- life of an op ---- */
static bool is_call(enum io_kind k)
{
    return k >= IO_OPEN;
}

static int64_t latency(struct sim_io *io)
{
    const struct sim_machine_config *c = &io->machine->config;
    int64_t base = c->call_ns, bytes = 0;
    if (io->kind == IO_READ) base = c->read_ns, bytes = io->len;
    if (io->kind == IO_WRITE) base = c->write_ns + (io->flags & IO_DSYNC ? c->sync_ns : 0), bytes = io->len;
    if (is_sync(io->kind)) base = c->sync_ns;
    return base + bytes / 2 + sim_exp(&io->machine->sim->disk, base); /* about 2 GB/s */
}

static void io_free(struct sim_io *io)
{
    if (list_linked(&io->in_shard)) list_remove(&io->in_shard);
    if (list_linked(&io->in_calls)) list_remove(&io->in_calls);
    sim_unschedule(io->machine->sim, &io->event);
    if (io->open != NULL) sim_open_unref(io->machine, io->open);
    free(io->data);
    free(io);
}

static void io_start(struct sim_io *io)
{
    if (!io->dead_delay) sim_schedule(io->machine->sim, &io->event, io->machine->sim->now + io->latency);
}

static void start_calls(struct sim_shard *sh)
{
    while (sh->calls_at_work < ENV_WORKERS && !list_empty(&sh->calls)) {
        struct sim_io *io = container_of(list_pop_front(&sh->calls), struct sim_io, in_calls);
        io->at_work = true;
        sh->calls_at_work++;
        io_start(io);
    }
}

static void io_end(struct sim_io *io, enum status st, int64_t result)
{
    struct sim_shard *sh = io->shard;
    struct io_op *op = io->op;
    sh->calls_at_work -= io->at_work;
    io_free(io);
    sim_complete(sh, op, st, result, false);
    start_calls(sh);
}

static void io_answer(struct sim *s, struct sim_io *io, enum status st, int64_t result)
{
    if (io->op != NULL) tell_watch(io, io->open == NULL ? io->op->path : io->open->path, false, st);
    sim_mix(s, (uint64_t)st << 32 | (uint64_t)io->kind);
    if (st == STATUS_OK) sim_mix(s, (uint64_t)result);
    if (io->op == NULL) { /* orphan */
        s->counters.orphan_writes++;
        io_free(io);
        return;
    }
    if (st == STATUS_OK && io->kind == IO_READ) sim_mix_bytes(s, io->op->data, (size_t)result);
    io_end(io, st, result);
}

static void io_failed_answer(struct sim *s, struct sim_event *ev)
{
    io_answer(s, container_of(ev, struct sim_io, event), STATUS_IO_ERROR, 0);
}

static void io_run(struct sim *s, struct sim_event *ev)
{
    struct sim_io *io = container_of(ev, struct sim_io, event);
    int64_t result = 0;
    /* in flight the bytes belong to the kernel: whoever changes them stores something else, some day */
    if (io->op != NULL && io->kind == IO_WRITE) CHECK(crc32c(0, io->op->data, io->len) == io->data_crc);
    enum status st = execute(io, &result);
    if (st == STATUS_IO_ERROR && io->silence > 0) {
        io->event.run = io_failed_answer;
        sim_schedule(s, &io->event, s->now + io->silence);
        return;
    }
    io_answer(s, io, st, result);
}

static struct sim_open *open_of(struct sim_machine *m, const struct io_op *op)
{
    CHECK(op->file >= 0 && (uint32_t)op->file < m->file_capacity);
    CHECK(m->files[op->file] != NULL);
    return m->files[op->file];
}

static void mix_submit(struct sim *s, const struct sim_io *io, const struct io_op *op)
{
    sim_mix(s, (uint64_t)io->machine->id << 48 | (uint64_t)io->shard->env.shard << 32 | (uint64_t)io->kind);
    if (io->open == NULL && op->path != NULL) sim_mix_bytes(s, op->path, strlen(op->path));
    if (io->kind == IO_WRITE) sim_mix_bytes(s, op->data, op->len);
    if (io->open != NULL) sim_mix(s, io->open->inode->number << 40 ^ op->pos);
}

void sim_io_submit(struct sim_shard *sh, struct io_op *op)
{
    struct sim_machine *m = sh->machine;
    struct sim_io *io = sim_alloc(sizeof *io);
    *io = (struct sim_io){.event.run = io_run,
                          .machine = m,
                          .shard = sh,
                          .op = op,
                          .kind = op->kind,
                          .pos = op->pos,
                          .len = op->len,
                          .flags = op->flags,
                          .upto = m->fs.seq};
    if (by_file(op->kind)) {
        io->open = open_of(m, op);
        io->open->refs++;
    }
    if (op->kind == IO_WRITE) io->data_crc = crc32c(0, op->data, op->len);
    mix_submit(m->sim, io, op);
    io->latency = latency(io);
    fault_draw(io, io->open == NULL ? op->path : io->open->path);
    tell_watch(io, io->open == NULL ? op->path : io->open->path, true, STATUS_OK);
    if (op->kind == IO_CLOSE) {
        m->files[op->file] = NULL;
        m->file_count--;
        sim_open_unref(m, io->open);
    }
    op->impl[0] = (uint64_t)(uintptr_t)io;
    list_push_back(&sh->ios, &io->in_shard);
    if (!is_call(op->kind)) {
        io_start(io);
        return;
    }
    list_push_back(&sh->calls, &io->in_calls);
    start_calls(sh);
}

/* A disk op at work cannot be stopped; a blocking call that has not begun can. */
void sim_io_cancel(struct sim_shard *sh, struct io_op *op)
{
    struct sim_io *io = (struct sim_io *)(uintptr_t)op->impl[0];
    if (!list_linked(&io->in_calls) || io->kind == IO_CLOSE) return;
    list_remove(&io->in_calls);
    io_end(io, STATUS_CANCELED, 0);
}

void sim_open_unref(struct sim_machine *m, struct sim_open *o)
{
    CHECK(o->refs > 0);
    if (--o->refs > 0) return;
    if (o->inode->lock == o) o->inode->lock = NULL;
    inode_unref(&m->fs, o->inode);
    free(o->path);
    free(o);
}

/* ---- death ---- */
static void make_orphan(struct sim_io *io)
{
    struct sim *s = io->machine->sim;
    io->data = malloc(MAX(io->len, 1u));
    CHECK(io->data != NULL);
    memcpy(io->data, io->op->data, io->len);
    io->op = NULL;
    io->shard = NULL;
    list_remove(&io->in_shard);
    list_push_back(&io->machine->orphans, &io->in_shard);
    sim_unschedule(s, &io->event);
    sim_schedule(s, &io->event, s->now + (int64_t)prng_below(&s->disk, (uint64_t)io->machine->config.linger_ns));
}

static void kill_one(struct sim_io *io)
{
    struct sim *s = io->machine->sim;
    int64_t result;
    if (io->kind == IO_WRITE && !misaligned(io) && prng_below(&s->disk, 8) != 0) {
        make_orphan(io);
        return;
    }
    if (io->at_work && io->kind != IO_CLOSE && io->kind != IO_LOCK && prng_below(&s->disk, 2) == 0)
        sim_mix(s, execute(io, &result));
    io_free(io);
}

void sim_io_kill(struct sim_machine *m)
{
    for (uint32_t k = 0; k < m->shard_count; k++) {
        struct sim_shard *sh = &m->shards[k];
        list_each (n, &sh->ios) kill_one(container_of(n, struct sim_io, in_shard));
        sh->calls_at_work = 0;
    }
    for (uint32_t fd = 0; fd < m->file_capacity; fd++)
        if (m->files[fd] != NULL) sim_open_unref(m, m->files[fd]);
    free(m->files);
    m->files = NULL;
    m->file_capacity = m->file_count = 0;
}

void sim_io_power(struct sim_machine *m)
{
    int64_t result;
    list_each (n, &m->orphans) {
        struct sim_io *io = container_of(n, struct sim_io, in_shard);
        io->flags &= ~(uint32_t)IO_DSYNC; /* it did not get so far */
        if (prng_below(&m->sim->disk, 2) == 0) sim_mix(m->sim, execute(io, &result));
        io_free(io);
    }
}

void sim_orphans_drop(struct sim_machine *m)
{
    list_each (n, &m->orphans) io_free(container_of(n, struct sim_io, in_shard));
}
