/* Files: the few durable ways in which casebus writes and holds them. */
#ifndef BASE_FILES_H
#define BASE_FILES_H

#include "proto/base/bytes.h"
#include "proto/base/error.h"

/* Reads all of @path (at most @max bytes) into @out, which is initialised here, whatever comes of it, and
 * which the caller deinits. A NUL stands behind the content, not counted. A larger file is
 * CASEBUS_TOO_LARGE. */
int file_read(const char *path, size_t max, struct buffer *out, struct casebus_error *err);
/* What a file is called until it is whole: its name, and this. kill -9 leaves it behind. */
#define FILE_UNFINISHED ".unfinished-XXXXXX"
bool file_is_unfinished(const char *name);

/* Bytes that this user may still write in the directory @path; UINT64_MAX when that cannot be known. */
uint64_t disk_free(const char *path);

/* Writes @path whole or not at all: name of an unfinished one, fsync, rename, fsync of the directory. @mode
 * such as 0600. */
int file_write(const char *path, struct bytes content, unsigned mode, struct casebus_error *err);
/* mkdir -p with mode 0700; fsyncs the parent of what it makes. */
int dir_make(const char *path, struct casebus_error *err);
int dir_sync(const char *path, struct casebus_error *err);
/* Syncs the directory that names @path: until then a power cut may take a new file away, synced or not. */
int file_sync_name(const char *path, struct casebus_error *err);
/* Takes an exclusive flock on PATH (made when missing), close-on-exec. Returns the descriptor, or -1 with
 * CASEBUS_LOCKED when another process holds it: the sentence names its process id. */
int file_lock(const char *path, struct casebus_error *err);
/* A shared one, for reading, without writing anything: on a medium that cannot be written, and when PATH is
 * missing, for then nobody ever locked it. */
int file_lock_shared(const char *path, struct casebus_error *err);
/* "DIR/NAME" into @out; -1 when it does not fit. */
int path_join(char *out, size_t size, const char *dir, const char *name);

#endif
