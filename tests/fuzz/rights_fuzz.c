/* A file of rights: who sees what. An operator's, but anything may stand in a file. What is read is asked,
 * too: whoever may be answered sees nothing, and nothing is seen or published without a row. */
#include "hub/exchange/answers.h"
#include "hub/rights/rights_file.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static void rows_hold(const struct rights *rights)
{
    uint32_t number = 0;
    CLAIM(rights->n_rows <= RIGHTS_ROWS_MAX);
    for (size_t i = 0; i < rights->n_rows; i++) {
        const struct rights_row *row = &rights->rows[i];
        CLAIM(row->number >= number);
        CLAIM(!row->to.node != !row->to.department && !(row->to.node && row->to.area));
        CLAIM(row->relation >= RIGHTS_GRANT && row->relation <= RIGHTS_PUBLISHING);
        CLAIM(!row->questions || !row->part_kinds);
        CLAIM(row->until_us == 0 || row->until_us > row->since_us);
        CLAIM(row->kinds || row->relation == RIGHTS_PUBLISHING);
        CLAIM(row->items.n > 0 && (row->relation != RIGHTS_GRANT || (row->purpose && row->basis)));
        number = row->number;
    }
}

static void rows_answer(const struct rights *rights)
{
    static const struct rights_reader nobody = {"nobody", "none", "999999"};
    const struct rights_subject subject = {"000131001000", "320100", CASEBUS__V1__KIND__KIND_FINISH,
                                           UINT32_MAX};
    static const struct rights_row *rows[RIGHTS_ROWS_MAX];
    size_t n = rights_rows_about(rights, &subject, 1, rows);
    CLAIM(n <= rights->n_rows);
    for (size_t i = 0; i < n; i++) {
        const struct rights_to *to = &rows[i]->to;
        const struct rights_reader reader = {to->node ? to->node : "a", to->department ? to->department : "",
                                             to->area ? to->area : "320100"};
        struct right right = rights_of(rows, n, &reader, &subject);
        CLAIM(!right.questions || !right.part_kinds);
        CLAIM(right.rule || rights_publish_rule(rows, n, &reader, &subject));
    }
    if (n == 0)
        CLAIM(!rights_of(rows, n, &nobody, &subject).rule &&
              !rights_publish_rule(rows, n, &nobody, &subject));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rights rights = {0};
    struct casebus_error err = {0};
    struct arena arena;
    struct buffer faults;
    arena_init(&arena, 64 * 1024, RIGHTS_MEMORY);
    buffer_init(&faults, 64 * 1024);
    if (rights_file_read(bytes_of(data, size), "policy", &rights, &arena, &faults, &err)) {
        CLAIM(err.code == CASEBUS_CONFIG || err.code == CASEBUS_TOO_LARGE || err.code == CASEBUS_NO_MEMORY);
        CLAIM(err.text[0]);
    } else {
        CLAIM(faults.size == 0);
        rows_hold(&rights);
        rows_answer(&rights);
    }
    buffer_deinit(&faults);
    arena_deinit(&arena);
    return 0;
}
