/* A credential of systemd belongs to root and is readable by the service through an ACL, which shows as a
 * right of the group: its directory is what keeps others out. A file that somebody named has to be its
 * owner's alone.
 *
 * Like last words (proto/base/crash.h), where a passphrase comes from is a matter of the process: systemd
 * hands it to a process, and a person sits before one. */
#include "proto/crypto/passphrase.h"

#include "proto/base/files.h"
#include "proto/base/texts.h"
#include "proto/crypto/shield.h"
#include "proto/crypto/suite.h"

#include <bsd/readpassphrase.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define CREDENTIAL     "casebus.passphrase"
#define CREDENTIAL_NEW "casebus.new-passphrase"
#define CREDENTIAL_PIN "casebus.pin"
#define TERMINAL       "/dev/tty"

static const char *process_file;
static bool process_asks;
static _Thread_local const char *thread_file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct passphrase *typed; /* in locked memory; NULL: nobody has typed one */

void passphrase_begin(const char *file, bool ask)
{
    process_file = file;
    process_asks = ask;
}

void passphrase_here(const char *file)
{
    thread_file = file;
}

/* ---- files ---- */

static int open_checked(const char *path, mode_t others, struct casebus_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    struct stat status;
    if (fd < 0)
        return error_set_errno(err, errno, _("the passphrase's file '%s' cannot be opened"), path);
    if (fstat(fd, &status) != 0) {
        error_set_errno(err, errno, _("the passphrase's file '%s' cannot be read"), path);
    } else if (!S_ISREG(status.st_mode)) {
        error_set(err, CASEBUS_PASSPHRASE, _("the passphrase's file '%s' is not an ordinary file"), path);
    } else if (status.st_mode & others) {
        error_set(err, CASEBUS_PASSPHRASE,
                  _("the passphrase's file '%s' is open to others than its owner (mode %04o)"), path,
                  (unsigned)status.st_mode & 07777);
        error_hint(err, _("Run: chmod 600 '%s'. If strangers may have read it, choose another one."), path);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

/* Without its line end. */
static int take_line(struct passphrase *passphrase, const char *path, struct casebus_error *err)
{
    char *end = memchr(passphrase->text, '\n', passphrase->size);
    if (end)
        passphrase->size = (size_t)(end - passphrase->text);
    else if (passphrase->size == PASSPHRASE_MAX)
        return error_set(err, CASEBUS_PASSPHRASE, _("the passphrase in '%s' is too long"), path);
    if (passphrase->size && passphrase->text[passphrase->size - 1] == '\r')
        passphrase->size--;
    return passphrase->size
               ? 0
               : error_set(err, CASEBUS_PASSPHRASE, _("the file '%s' holds no passphrase"), path);
}

static int read_checked(struct passphrase *passphrase, const char *path, mode_t others,
                        struct casebus_error *err)
{
    int fd = open_checked(path, others, err);
    if (fd < 0)
        return -1;
    ssize_t n = read(fd, passphrase->text, PASSPHRASE_MAX);
    int reason = errno;
    close(fd);
    if (n < 0)
        return error_set_errno(err, reason, _("the passphrase's file '%s' cannot be read"), path);
    passphrase->size = (size_t)n;
    if (take_line(passphrase, path, err) == 0)
        return 0;
    secret_clear(passphrase, sizeof *passphrase);
    return -1;
}

int passphrase_read(struct passphrase *passphrase, const char *path, struct casebus_error *err)
{
    return read_checked(passphrase, path, 077, err);
}

/* 1, 0 when systemd gave none of that name, or -1. */
static int credential_get(struct passphrase *passphrase, const char *name, struct casebus_error *err)
{
    char path[PATH_MAX];
    const char *dir = getenv("CREDENTIALS_DIRECTORY");
    if (!dir || !*dir || path_join(path, sizeof path, dir, name) || access(path, F_OK))
        return 0;
    return read_checked(passphrase, path, 07, err) ? -1 : 1;
}

/* ---- a person ---- */

/* Reads a line without showing it. libbsd shows what is typed again when a signal ends the program. */
static int line_ask(struct passphrase *passphrase, const char *prompt, struct casebus_error *err)
{
    if (!readpassphrase(prompt, passphrase->text, PASSPHRASE_MAX, RPP_REQUIRE_TTY))
        return error_set_errno(err, errno, _("the terminal cannot be read"));
    passphrase->size = strlen(passphrase->text);
    if (passphrase->size == PASSPHRASE_MAX - 1) /* the rest was passed over */
        passphrase->size = PASSPHRASE_MAX;
    return take_line(passphrase, TERMINAL, err);
}

static bool person_there(void)
{
    return process_asks && isatty(STDIN_FILENO);
}

/* With the lock held. 1, 0 when there is no person, or -1. */
static int typed_get(const char *path, struct casebus_error *err)
{
    char prompt[PATH_MAX + 64];
    if (typed || !person_there())
        return typed != NULL;
    snprintf(prompt, sizeof prompt, _("Passphrase of %s: "), path);
    typed = secret_new(sizeof *typed);
    int r = typed ? line_ask(typed, prompt, err)
                  : error_set(err, CASEBUS_NO_MEMORY, _("no memory for a passphrase"));
    if (r)
        typed = secret_free(typed, sizeof *typed);
    return r ? -1 : 1;
}

void passphrase_forget(void)
{
    pthread_mutex_lock(&lock);
    typed = secret_free(typed, sizeof *typed);
    pthread_mutex_unlock(&lock);
}

/* ---- all of it ---- */

static int find(struct passphrase *passphrase, const char *path, struct casebus_error *err)
{
    const char *file = thread_file ? thread_file : process_file;
    if (file)
        return passphrase_read(passphrase, file, err) ? -1 : 1;
    int r = credential_get(passphrase, CREDENTIAL, err);
    if (r)
        return r;
    pthread_mutex_lock(&lock);
    r = path ? typed_get(path, err) : typed != NULL;
    if (r > 0)
        *passphrase = *typed;
    pthread_mutex_unlock(&lock);
    return r;
}

int passphrase_get(struct passphrase *passphrase, const char *path, struct casebus_error *err)
{
    return find(passphrase, path, err);
}

int passphrase_known(struct passphrase *passphrase, struct casebus_error *err)
{
    return find(passphrase, NULL, err);
}

static int ask_twice(struct passphrase *passphrase, struct casebus_error *err)
{
    struct passphrase again = {.size = 0};
    int r = line_ask(passphrase, _("New passphrase: "), err) || line_ask(&again, _("Once more: "), err);
    if (!r && (again.size != passphrase->size || !secret_equal(again.text, passphrase->text, again.size)))
        r = error_set(err, CASEBUS_PASSPHRASE, _("the two are not the same; nothing is changed"));
    secret_clear(&again, sizeof again);
    return r ? -1 : 0;
}

int passphrase_new(struct passphrase *passphrase, const char *file, struct casebus_error *err)
{
    if (file)
        return passphrase_read(passphrase, file, err);
    int r = credential_get(passphrase, CREDENTIAL_NEW, err);
    if (r)
        return r < 0 ? -1 : 0;
    if (!person_there()) {
        error_set(err, CASEBUS_PASSPHRASE, _("no new passphrase was given"));
        return error_hint(err, _("name a file that holds it, or sit at a terminal"));
    }
    return ask_twice(passphrase, err);
}

int passphrase_pin(struct passphrase *pin, const char *file, const char *token, struct casebus_error *err)
{
    char prompt[256];
    if (file)
        return passphrase_read(pin, file, err);
    int r = credential_get(pin, CREDENTIAL_PIN, err);
    if (r)
        return r < 0 ? -1 : 0;
    if (!person_there()) {
        error_set(err, CASEBUS_PASSPHRASE, _("the token '%s' wants its PIN, and none was given"), token);
        return error_hint(err, _("put it into a file of mode 0600 and name that in the key's URI: "
                                 "pin-source=file:/PATH; or give the credential casebus.pin"));
    }
    snprintf(prompt, sizeof prompt, _("PIN of the token %s: "), token);
    return line_ask(pin, prompt, err);
}
