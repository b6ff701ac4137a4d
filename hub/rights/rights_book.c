#include "hub/rights/rights_book.h"

#include "proto/base/texts.h"

#include <stdatomic.h>
#include <stdlib.h>

struct rights_book {
    atomic_int references;
    struct arena arena;
    struct bytes text;
    struct rights rights;
};

int rights_book_new(struct rights_book **bookp, struct bytes text, const char *name, uint32_t version,
                    struct buffer *faults, struct casebus_error *err)
{
    struct rights_book *book = calloc(1, sizeof *book);
    if (!book)
        return error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), name);
    atomic_init(&book->references, 1);
    arena_init(&book->arena, 64 * 1024, RIGHTS_MEMORY);
    uint8_t *copy = arena_copy(&book->arena, text.data, text.size);
    book->text = bytes_of(copy, text.size);
    int r = copy || text.size == 0
                ? rights_file_read(book->text, name, &book->rights, &book->arena, faults, err)
                : error_set(err, CASEBUS_NO_MEMORY, _("no memory to read '%s'"), name);
    if (r < 0) {
        rights_book_unref(book);
        return -1;
    }
    book->rights.version = version;
    *bookp = book;
    return 0;
}

struct rights_book *rights_book_ref(struct rights_book *book)
{
    if (book)
        atomic_fetch_add_explicit(&book->references, 1, memory_order_relaxed);
    return book;
}

struct rights_book *rights_book_unref(struct rights_book *book)
{
    if (!book || atomic_fetch_sub_explicit(&book->references, 1, memory_order_acq_rel) > 1)
        return NULL;
    arena_deinit(&book->arena);
    free(book);
    return NULL;
}

const struct rights *rights_book_rights(const struct rights_book *book)
{
    return book ? &book->rights : NULL;
}

struct bytes rights_book_text(const struct rights_book *book)
{
    return book ? book->text : bytes_of(NULL, 0);
}

uint32_t rights_book_version(const struct rights_book *book)
{
    return book ? book->rights.version : 0;
}
