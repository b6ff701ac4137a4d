/* A file is read in chunks and, if it is gzip, inflated. zlib's own gz functions would be shorter, but they
 * throw away what they had inflated when they meet damage behind it, and here every byte before the damage is
 * handed out first: a check sum that is wrong at the very end costs no row.
 *
 * A gzip file is one or more members one after the other (RFC 1952), perhaps padded with zeros. */
#include "adapters/eventlog/input.h"

#include "proto/base/texts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { CHUNK = 128 * 1024, GZIP_ANY_WINDOW = 15 + 16 };

enum damage { DAMAGE_NONE, DAMAGE_READ, DAMAGE_CUT, DAMAGE_DATA, DAMAGE_TAIL };

struct input {
    char *name;
    int fd; /* -1: from memory */
    int64_t size;
    int64_t done; /* bytes of the file that were used */
    struct bytes memory;

    uint8_t *raw; /* a chunk of the file */
    struct bytes raw_left;
    bool gzip;
    bool in_member; /* inside a gzip member */
    z_stream stream;

    uint8_t *chunk; /* what `ahead` points into */
    struct bytes ahead;
    bool ended;
    enum damage damage; /* told when everything before it is consumed */
    int errnum;
};

/* ---- bytes as they lie there ---- */

static size_t memory_read(struct input *input)
{
    size_t size = input->memory.size < CHUNK ? input->memory.size : CHUNK;
    if (size == 0)
        return 0;
    memcpy(input->raw, input->memory.data, size);
    input->memory.data += size;
    input->memory.size -= size;
    return size;
}

/* Refills `raw_left` when it is used up; it stays empty at the end and after a failure. */
static void raw_fill(struct input *input)
{
    if (input->raw_left.size > 0 || input->damage)
        return;
    ssize_t got;
    do
        got = input->fd < 0 ? (ssize_t)memory_read(input) : read(input->fd, input->raw, CHUNK);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        input->damage = DAMAGE_READ;
        input->errnum = errno;
        got = 0;
    }
    input->raw_left = bytes_of(input->raw, (size_t)got);
}

static void raw_use(struct input *input, size_t size)
{
    input->raw_left.data += size;
    input->raw_left.size -= size;
    input->done += (int64_t)size;
}

/* ---- inflating ---- */

/* Between two members: another one, padding, or the end. */
static void member_find(struct input *input)
{
    for (;;) {
        raw_fill(input);
        if (input->raw_left.size == 0)
            return;
        if (input->raw_left.data[0] != 0)
            break;
        raw_use(input, 1);
    }
    input->in_member = input->raw_left.data[0] == 0x1f && inflateReset(&input->stream) == Z_OK;
    if (!input->in_member)
        input->damage = DAMAGE_TAIL;
}

/* Inflates until the chunk is full or the file ends. */
static size_t gzip_read(struct input *input)
{
    z_stream *stream = &input->stream;
    stream->next_out = input->chunk;
    stream->avail_out = CHUNK;
    while (stream->avail_out > 0 && !input->damage) {
        if (!input->in_member)
            member_find(input);
        if (!input->in_member)
            break;
        raw_fill(input);
        if (input->raw_left.size == 0 && !input->damage)
            input->damage = DAMAGE_CUT;
        if (input->damage)
            break;
        stream->next_in = (Bytef *)(uintptr_t)input->raw_left.data;
        stream->avail_in = (uInt)input->raw_left.size;
        int r = inflate(stream, Z_NO_FLUSH);
        raw_use(input, input->raw_left.size - stream->avail_in);
        if (r == Z_STREAM_END)
            input->in_member = false;
        else if (r != Z_OK && r != Z_BUF_ERROR)
            input->damage = DAMAGE_DATA;
    }
    return CHUNK - stream->avail_out;
}

static size_t plain_read(struct input *input)
{
    raw_fill(input);
    size_t size = input->raw_left.size;
    memcpy(input->chunk, input->raw_left.data, size);
    raw_use(input, size);
    return size;
}

/* ---- opening ---- */

static struct input *input_new(const char *name)
{
    struct input *input = calloc(1, sizeof *input);
    if (!input)
        return NULL;
    input->fd = -1;
    input->name = strdup(name);
    input->raw = malloc(CHUNK);
    input->chunk = malloc(CHUNK);
    return input->name && input->raw && input->chunk ? input : input_close(input);
}

static int file_open(struct input *input, struct casebus_error *err)
{
    struct stat status;
    input->fd = open(input->name, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0) {
        error_set_errno(err, errno, _("cannot open the source file '%s'"), input->name);
        return error_hint(err, _("check the path and that this user may read it"));
    }
    if (fstat(input->fd, &status) != 0 || S_ISDIR(status.st_mode))
        return error_set(err, CASEBUS_SOURCE, _("'%s' is a folder, not a file"), input->name);
    input->size = status.st_size;
    return 0;
}

static int format_find(struct input *input, struct casebus_error *err)
{
    raw_fill(input);
    input->gzip =
        input->raw_left.size >= 2 && input->raw_left.data[0] == 0x1f && input->raw_left.data[1] == 0x8b;
    if (!input->gzip)
        return 0;
    if (inflateInit2(&input->stream, GZIP_ANY_WINDOW) != Z_OK) {
        input->gzip = false;
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input->name);
    }
    input->in_member = true;
    return 0;
}

int input_open(struct input **inputp, const char *path, struct casebus_error *err)
{
    struct input *input = input_new(path);
    if (!input)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), path);
    if (file_open(input, err) != 0 || format_find(input, err) != 0) {
        input_close(input);
        return -1;
    }
    *inputp = input;
    return 0;
}

int input_open_memory(struct input **inputp, const char *name, struct bytes content,
                      struct casebus_error *err)
{
    struct input *input = input_new(name);
    if (!input)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), name);
    input->memory = content;
    input->size = (int64_t)content.size;
    if (format_find(input, err) != 0) {
        input_close(input);
        return -1;
    }
    *inputp = input;
    return 0;
}

struct input *input_close(struct input *input)
{
    if (!input)
        return NULL;
    if (input->gzip)
        inflateEnd(&input->stream);
    if (input->fd >= 0)
        close(input->fd);
    free(input->raw);
    free(input->chunk);
    free(input->name);
    free(input);
    return NULL;
}

/* ---- reading ---- */

static void damage_tell(const struct input *input, struct casebus_error *err)
{
    long long at = (long long)input->done;
    switch (input->damage) {
    case DAMAGE_READ:
        error_set_errno(err, input->errnum, _("cannot read '%s' at byte %lld"), input->name, at);
        return;
    case DAMAGE_CUT:
        error_set(err, CASEBUS_SOURCE, _("'%s' ends early: its gzip data is cut off at byte %lld"),
                  input->name, at);
        break;
    case DAMAGE_TAIL:
        error_set(err, CASEBUS_SOURCE, _("'%s': what stands behind the gzip data, at byte %lld, is not gzip"),
                  input->name, at);
        break;
    case DAMAGE_DATA:
    case DAMAGE_NONE:
        error_set(err, CASEBUS_SOURCE, _("'%s' is damaged: bad gzip data or check sum before byte %lld (%s)"),
                  input->name, at, input->stream.msg ? input->stream.msg : "?");
        break;
    }
    error_hint(err, _("fetch the file again; what was read before this place is kept"));
}

int input_peek(struct input *input, struct bytes *ahead, struct casebus_error *err)
{
    if (input->ahead.size == 0 && !input->ended) {
        size_t got = input->damage ? 0 : input->gzip ? gzip_read(input) : plain_read(input);
        if (got == 0 && input->damage) {
            damage_tell(input, err);
            return -1;
        }
        input->ended = got == 0;
        input->ahead = bytes_of(input->chunk, got);
    }
    *ahead = input->ahead;
    return ahead->size > 0;
}

void input_consume(struct input *input, size_t size)
{
    input->ahead.data += size;
    input->ahead.size -= size;
}

int input_line(struct input *input, struct buffer *line, size_t max, bool *cut, struct casebus_error *err)
{
    size_t begin = line->size;
    bool any = false;
    *cut = false;
    for (;;) {
        struct bytes ahead;
        int r = input_peek(input, &ahead, err);
        if (r <= 0)
            return r < 0 ? -1 : any;
        any = true;
        const uint8_t *end = memchr(ahead.data, '\n', ahead.size);
        size_t size = end ? (size_t)(end - ahead.data) + 1 : ahead.size;
        size_t room = max - (line->size - begin);
        size_t take = size < room ? size : room;
        if (!buffer_append(line, ahead.data, take))
            return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), input->name);
        *cut = take < size;
        input_consume(input, take);
        if (end || *cut)
            return 1;
    }
}

int input_skip_row(struct input *input, bool quoted, uint64_t *lines, struct casebus_error *err)
{
    struct bytes ahead;
    int r;
    while ((r = input_peek(input, &ahead, err)) > 0) {
        for (size_t i = 0; i < ahead.size; i++) {
            quoted ^= ahead.data[i] == '"';
            if (ahead.data[i] != '\n')
                continue;
            ++*lines;
            if (quoted)
                continue;
            input_consume(input, i + 1);
            return 1;
        }
        input_consume(input, ahead.size);
    }
    return r;
}

const char *input_name(const struct input *input)
{
    return input->name;
}

bool input_is_gzip(const struct input *input)
{
    return input->gzip;
}

double input_progress(const struct input *input)
{
    if (input->ended)
        return 1.0;
    if (input->size <= 0)
        return -1.0; /* a pipe */
    double done = (double)input->done / (double)input->size;
    return done < 1.0 ? done : 1.0;
}
