/* Keys that were given out are there after a kill, and erased ones stay erased. */
#include "hub/vault/vault.h"

#include "hub/journal/kill_fixture.h"

#define ROUNDS 25
#define AHEAD  16
#define ERASES 5 /* every fifth slot is erased */

struct fixture {
    char dir[PATH_MAX];
    uint8_t kek[KEY_SIZE];
    uint64_t taken;
    int notes[2]; /* slot and key, as a body would keep them */
};

struct note {
    uint64_t slot;
    uint8_t key[KEY_SIZE];
};

/* The child: takes, notes the key, erases some, and promises the slot only when all that is done. */
static void take_for_ever(void *self, int pipe_end)
{
    struct fixture *f = self;
    struct casebus_error err;
    struct vault *vault;
    struct note note;

    if (vault_open(&vault, f->dir, suite_get(SUITE_INTL), f->kek, AHEAD, NULL, &err) != 0)
        _exit(1);
    vault_set_taken(vault, f->taken);
    for (;;) {
        if (vault_ready(vault) < AHEAD / 2 && vault_prepare(vault, &err) != 0)
            _exit(2);
        if (vault_take(vault, &note.slot, note.key, &err) != 0)
            _exit(3);
        if (write(f->notes[1], &note, sizeof note) != sizeof note)
            _exit(4);
        if (note.slot % ERASES == 0 && vault_erase(vault, note.slot, &err) != 0)
            _exit(5);
        promise(pipe_end, note.slot);
        usleep(100);
    }
}

static void check_note(struct vault *vault, const struct note *note, uint64_t promised)
{
    struct casebus_error err;
    uint8_t key[KEY_SIZE];
    int r = vault_key(vault, note->slot, key, &err);
    if (r != 0) {
        assert_int_equal(err.code, CASEBUS_NOT_FOUND);
        assert_int_equal(note->slot % ERASES, 0);
    } else {
        assert_memory_equal(key, note->key, KEY_SIZE);
        assert_true(note->slot % ERASES != 0 || note->slot > promised);
    }
}

static void test_keys_survive_a_kill_and_erasures_too(void **state)
{
    struct fixture f = {.kek = {1, 2, 3}};
    struct chance chance = chance_begin();
    struct note notes[2000];
    size_t n = 0;

    (void)state;
    folder_make(f.dir, "vault");
    for (int round = 0; round < ROUNDS; round++) {
        struct casebus_error err;
        struct vault *vault;
        assert_int_equal(pipe(f.notes), 0);
        uint64_t promised = run_and_kill(take_for_ever, &f, &chance, 20000, f.taken);
        close(f.notes[1]);
        must(vault_open(&vault, f.dir, suite_get(SUITE_INTL), f.kek, AHEAD, NULL, &err), &err);
        while (n < 2000 && read(f.notes[0], &notes[n], sizeof notes[n]) == sizeof notes[n])
            f.taken = notes[n++].slot;
        close(f.notes[0]);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(notes[i].slot, i + 1);
            if (notes[i].slot % ERASES == 0 && notes[i].slot > promised) { /* the owner does it again */
                vault_set_taken(vault, f.taken);
                must(vault_erase(vault, notes[i].slot, &err), &err);
            }
            check_note(vault, &notes[i], promised);
        }
        vault_close(vault);
        if (n == 2000)
            break;
    }
    assert_true(n > ROUNDS);
    folder_remove(f.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_survive_a_kill_and_erasures_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
