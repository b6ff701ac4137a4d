/* LMDB, held to a few rules.
 *
 * Making: DIR/NAME.new is filled, synced, renamed to DIR/NAME; the rename replaces an empty folder and
 * nothing else, so a folder that lost its data file is never taken for a new one.
 *
 * Failing: a full disk or map leaves what was committed as it was, and work can go on when there is room.
 * After any other failure of a write it is not known what the page cache and the disk hold: the environment
 * is broken until it is opened again, and its owner verifies then. */
#include "hub/ledger/environment.h"

#include "proto/base/crash.h"
#include "proto/base/files.h"
#include "proto/base/texts.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef CIFS_SUPER_MAGIC
#define CIFS_SUPER_MAGIC 0xFF534D42
#endif
#ifndef SMB2_SUPER_MAGIC
#define SMB2_SUPER_MAGIC 0xFE534D42
#endif
#define READERS_MAX 254
#define ROOM_PROBED (4 << 20)

static bool means_full(int rc)
{
    return rc == MDB_MAP_FULL || rc == ENOSPC || rc == EDQUOT || rc == EFBIG;
}

int environment_error(const struct environment *env, int rc, struct casebus_error *err)
{
    if (means_full(rc)) {
        error_set(err, CASEBUS_DISK_FULL, _("there is no room to write '%s': %s"), env->path,
                  mdb_strerror(rc));
        return error_hint(err, _("make room on this disk or raise its quota; work goes on by itself then"));
    }
    switch (rc) {
    case MDB_READERS_FULL:
        return error_set(err, CASEBUS_BUSY, _("too many readers of '%s' at a time"), env->path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
    case MDB_PANIC:
    case MDB_NOTFOUND: /* where something must stand; answers are handled before they come here */
    case MDB_INCOMPATIBLE:
    case MDB_BAD_TXN: /* a page that could not be believed was met in it before */
        return error_set(err, CASEBUS_DAMAGED, _("'%s' is damaged: %s"), env->path, mdb_strerror(rc));
    default:
        break;
    }
    if (rc > 0)
        return error_set_errno(err, rc, _("'%s' cannot be used"), env->path);
    return error_set(err, CASEBUS_INTERNAL, _("'%s' cannot be used: %s"), env->path, mdb_strerror(rc));
}

static int check_broken(struct environment *env, struct casebus_error *err)
{
    if (!atomic_load_explicit(&env->broken, memory_order_relaxed))
        return 0;
    error_set(err, CASEBUS_DAMAGED, _("writing '%s' failed before: it must be opened again and verified"),
              env->path);
    return error_hint(err, _("restart the hub; if it happens again, look for faults of the disk"));
}

int environment_begin(struct environment *env, unsigned flags, MDB_txn **txnp, struct casebus_error *err)
{
    int stale;
    if (check_broken(env, err) != 0)
        return -1;
    int rc = 0;
    crash_use(env->map);
    if (!(flags &
          MDB_RDONLY)) /* the snapshot of a reader that was killed would keep pages from being used again */
        rc = mdb_reader_check(env->mdb, &stale);
    if (rc == 0)
        rc = mdb_txn_begin(env->mdb, NULL, flags, txnp);
    return rc ? environment_error(env, rc, err) : 0;
}

int environment_renew(struct environment *env, MDB_txn *txn, struct casebus_error *err)
{
    if (check_broken(env, err) != 0)
        return -1;
    crash_use(env->map);
    int rc = mdb_txn_renew(txn);
    return rc ? environment_error(env, rc, err) : 0;
}

/* A write that a full disk cuts short comes out of LMDB as EIO. Asks the disk for more room, to know: ENOSPC,
 * or another reason why there is none, or 0 when there is. */
static int room_refused(struct environment *env)
{
    struct stat status;
    int fd;
    if (mdb_env_get_fd(env->mdb, &fd) != 0 || fstat(fd, &status) != 0)
        return 0;
    if (fallocate(fd, 0, status.st_size, ROOM_PROBED) != 0)
        return errno;
    return ftruncate(fd, status.st_size) == 0 ? 0 : errno;
}

static int write_failed(struct environment *env, int rc, struct casebus_error *err)
{
    int reason;
    if (rc == EIO && means_full(reason = room_refused(env)))
        rc = reason;
    if (!means_full(rc))
        atomic_store(&env->broken, true);
    return environment_error(env, rc, err);
}

int environment_commit(struct environment *env, MDB_txn *txn, struct casebus_error *err)
{
    int rc = mdb_txn_commit(txn);
    return rc ? write_failed(env, rc, err) : 0;
}

int environment_abort(struct environment *env, MDB_txn *txn, int rc, struct casebus_error *err)
{
    mdb_txn_abort(txn);
    return write_failed(env, rc, err);
}

/* LMDB leaves its data file open across exec. */
static int close_on_exec(MDB_env *mdb)
{
    int fd;
    int rc = mdb_env_get_fd(mdb, &fd);
    if (rc)
        return rc;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : errno;
}

static int folder_open(MDB_env **mdbp, const char *path, unsigned flags)
{
    MDB_env *mdb;
    int stale;
    int rc = mdb_env_create(&mdb);
    if (rc)
        return rc;
    if ((rc = mdb_env_set_maxdbs(mdb, ENVIRONMENT_TABLES_MAX)) ||
        (rc = mdb_env_set_maxreaders(mdb, READERS_MAX)) ||
        (rc = mdb_env_set_mapsize(mdb, ENVIRONMENT_MAP_SIZE)) ||
        (rc = mdb_env_open(mdb, path, MDB_NORDAHEAD | MDB_NOTLS | flags, 0600)) ||
        (rc = close_on_exec(mdb)) || (rc = mdb_reader_check(mdb, &stale))) {
        mdb_env_close(mdb);
        return rc;
    }
    *mdbp = mdb;
    return 0;
}

static int tables_open(MDB_txn *txn, const struct environment_options *options, unsigned flags,
                       MDB_dbi *tables)
{
    int rc = 0;
    for (size_t i = 0; i < options->n_tables && rc == 0; i++)
        rc = mdb_dbi_open(txn, options->tables[i].name, options->tables[i].flags | flags, &tables[i]);
    return rc;
}

/* Makes and fills the tables in one transaction. */
static int tables_make(MDB_env *mdb, const struct environment_options *options)
{
    MDB_dbi tables[ENVIRONMENT_TABLES_MAX];
    MDB_txn *txn;
    int rc = mdb_txn_begin(mdb, NULL, 0, &txn);
    if (rc)
        return rc;
    if ((rc = tables_open(txn, options, MDB_CREATE, tables)) ||
        (rc = options->fill(options->self, txn, tables))) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}

static int environment_make_in(struct environment *env, const char *folder,
                               const struct environment_options *options, struct casebus_error *err)
{
    char file[PATH_MAX];
    MDB_env *mdb;

    for (int i = 0; i < 2; i++) { /* an attempt that a crash cut short */
        if (path_join(file, sizeof file, folder, i ? "lock.mdb" : "data.mdb") != 0)
            return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), folder);
        if (unlink(file) != 0 && errno != ENOENT)
            return error_set_errno(err, errno, _("cannot remove '%s'"), file);
    }
    if (dir_make(folder, err) != 0)
        return -1;
    int rc = folder_open(&mdb, folder, 0);
    if (rc)
        return environment_error(env, rc, err);
    rc = tables_make(mdb, options);
    if (rc == 0)
        rc = mdb_env_sync(mdb, 1);
    mdb_env_close(mdb);
    return rc ? environment_error(env, rc, err) : dir_sync(folder, err);
}

static int environment_make(struct environment *env, const char *dir,
                            const struct environment_options *options, struct casebus_error *err)
{
    char folder[PATH_MAX];
    int length = snprintf(folder, sizeof folder, "%s.new", env->path);
    if (length < 0 || (size_t)length >= sizeof folder)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), env->path);
    if (environment_make_in(env, folder, options, err) != 0)
        return -1;
    if (rename(folder, env->path) == 0)
        return dir_sync(dir, err);
    if (errno != ENOTEMPTY && errno != EEXIST)
        return error_set_errno(err, errno, _("cannot make '%s'"), env->path);
    return error_set(err, CASEBUS_DAMAGED, _("'%s' is there, but its file 'data.mdb' is not"), env->path);
}

/* 1: it is there; 0: not. */
static int environment_exists(const struct environment *env, struct casebus_error *err)
{
    char file[PATH_MAX];
    struct stat status;
    if (path_join(file, sizeof file, env->path, "data.mdb") != 0)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), env->path);
    if (stat(file, &status) == 0)
        return 1;
    return errno == ENOENT ? 0 : error_set_errno(err, errno, _("cannot use '%s'"), file);
}

/* A file that was cut short would stop the process at the first look behind its end (SIGBUS). With zeros
 * there, LMDB sees pages of no kind and says so. */
static int file_extend(MDB_env *mdb)
{
    MDB_envinfo info;
    MDB_stat pages;
    struct stat status;
    int fd, rc;
    if ((rc = mdb_env_info(mdb, &info)) || (rc = mdb_env_stat(mdb, &pages)) ||
        (rc = mdb_env_get_fd(mdb, &fd)))
        return rc;
    off_t size = (off_t)((info.me_last_pgno + 1) * pages.ms_psize);
    if (fstat(fd, &status) != 0 || (status.st_size < size && ftruncate(fd, size) != 0))
        return errno;
    return 0;
}

/* Where the file is mapped; LMDB does not tell. */
static bool map_find(const struct stat *file, struct bytes *map)
{
    char line[PATH_MAX + 256];
    unsigned long begin, end, inode;
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "re");
    while (maps && !found && fgets(line, sizeof line, maps)) {
        found = sscanf(line, "%lx-%lx %*s %*s %*s %lu", &begin, &end, &inode) == 3 && inode == file->st_ino &&
                strstr(line, "/data.mdb");
        if (found)
            *map = bytes_of((const void *)begin, end - begin); // NOLINT(performance-no-int-to-ptr)
    }
    if (maps)
        fclose(maps);
    return found;
}

/* What a process says that dies of this file, mapped at @begin. */
static void last_words(const struct environment *env, const void *begin, size_t size)
{
    char text[PATH_MAX + 1024];
    snprintf(text, sizeof text,
             _("'%s' is damaged: what stands in one of its pages led this program astray (%s)\n"
               "  casebus-hub doctor says what to do about it; a folder 'state' can always be made again: "
               "casebus-hub rebuild"),
             env->path, casebus_code_text(CASEBUS_DAMAGED));
    crash_watch(begin, size, (const void *)(uintptr_t)mdb_cursor_get, text);
}

static void last_words_prepare(struct environment *env)
{
    struct stat status;
    struct bytes map;
    int fd;
    if (mdb_env_get_fd(env->mdb, &fd) != 0 || fstat(fd, &status) != 0 || !map_find(&status, &map))
        return;
    env->map = map.data;
    last_words(env, map.data, map.size);
}

static void last_words_forget(struct environment *env)
{
    if (env->map)
        crash_forget(env->map);
    env->map = NULL;
}

static int environment_attach(struct environment *env, const struct environment_options *options,
                              struct casebus_error *err)
{
    MDB_txn *txn;
    last_words(env, env, 1); /* opening reads the file's first pages before we can know where they are */
    unsigned flags = options->readonly ? MDB_RDONLY : 0;
    int rc = folder_open(&env->mdb, env->path, flags);
    if (rc == EACCES &&
        options->still) /* it cannot note that it reads; nobody writes who would have to know */
        rc = folder_open(&env->mdb, env->path, flags | MDB_NOLOCK);
    crash_forget(env);
    if (rc)
        return environment_error(env, rc, err);
    last_words_prepare(env);
    if (!options->readonly)
        rc = file_extend(env->mdb);
    if (rc == 0)
        rc = mdb_txn_begin(env->mdb, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        rc = tables_open(txn, options, 0, env->tables);
        if (rc)
            mdb_txn_abort(txn);
        else
            rc = mdb_txn_commit(txn); /* keeps the handles */
    }
    if (rc == 0)
        return 0;
    environment_close(env);
    return environment_error(env, rc, err);
}

/* LMDB's locks and its shared map do not work between machines. */
static int check_local(const char *dir, struct casebus_error *err)
{
    struct statfs system;
    if (statfs(dir, &system) != 0)
        return 0; /* it is not there yet, or the next step says why it cannot be used */
    unsigned long type = (unsigned long)system.f_type & 0xffffffff;
    if (type != NFS_SUPER_MAGIC && type != SMB_SUPER_MAGIC && type != SMB2_SUPER_MAGIC &&
        type != CIFS_SUPER_MAGIC)
        return 0;
    error_set(err, CASEBUS_CONFIG, _("'%s' lies on a network file system"), dir);
    return error_hint(err, _("put the hub's directory on a local disk"));
}

int environment_open(struct environment *env, const char *dir, const struct environment_options *options,
                     struct casebus_error *err)
{
    assert(options->n_tables <= ENVIRONMENT_TABLES_MAX);
    env->mdb = NULL;
    env->map = NULL;
    atomic_init(&env->broken, false);
    if (path_join(env->path, sizeof env->path, dir, options->name) != 0)
        return error_set_errno(err, ENAMETOOLONG, _("cannot use the path '%s'"), dir);
    if (check_local(dir, err) != 0)
        return -1;
    int there = environment_exists(env, err);
    if (there < 0)
        return -1;
    if (!there && options->readonly)
        return error_set(err, CASEBUS_NOT_FOUND, _("there is no '%s'"), env->path);
    if (!there && environment_make(env, dir, options, err) != 0)
        return -1;
    return environment_attach(env, options, err);
}

void environment_close(struct environment *env)
{
    last_words_forget(env);
    if (env->mdb)
        mdb_env_close(env->mdb);
    env->mdb = NULL;
}

int environment_limit(struct environment *env, uint64_t max_bytes, struct casebus_error *err)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t size = max_bytes < ENVIRONMENT_MAP_SIZE ? max_bytes / page * page : ENVIRONMENT_MAP_SIZE;
    last_words_forget(env);
    int rc = mdb_env_set_mapsize(env->mdb, (size_t)size);
    last_words_prepare(env);
    return rc ? environment_error(env, rc, err) : 0;
}
