/* What tests of stores share: a folder that goes away, a call that must succeed, a child that must end. */
#ifndef JOURNAL_FOLDER_FIXTURE_H
#define JOURNAL_FOLDER_FIXTURE_H

#include "proto/base/files.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static inline void folder_make(char dir[PATH_MAX], const char *name)
{
    const char *parent = getenv("TMPDIR");
    snprintf(dir, PATH_MAX, "%s/casebus-%s-XXXXXX", parent ? parent : "/tmp", name);
    assert_non_null(mkdtemp(dir));
}

static inline void folder_path(char path[PATH_MAX], const char *dir, const char *name)
{
    assert_int_equal(path_join(path, PATH_MAX, dir, name), 0);
}

static inline int folder_remove_one(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status;
    (void)kind;
    (void)ftw;
    return remove(path);
}

static inline void folder_remove(const char *dir)
{
    nftw(dir, folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void must(int r, const struct casebus_error *err)
{
    if (r < 0)
        fail_msg("%s: %s", casebus_code_text(err->code), err->text);
}

static inline void expect_exit(pid_t child, int code)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

#endif
