#include "proto/merkle/tiles.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void test_paths_are_those_of_the_specification(void **state)
{
    static const struct {
        struct tile tile;
        const char *path;
    } rows[] = {
        {{0, 0, 256}, "tile/0/000"},
        {{0, 0, 1}, "tile/0/000.p/1"},
        {{7, 999, 255}, "tile/7/999.p/255"},
        {{0, 1000, 256}, "tile/0/x001/000"},
        {{0, 1234067, 256}, "tile/0/x001/x234/067"},
        {{1, 123456, 8}, "tile/1/x123/456.p/8"},
        {{TILE_ENTRIES, 67, 256}, "tile/entries/067"},
        {{TILE_ENTRIES, 1000000, 112}, "tile/entries/x001/x000/000.p/112"},
        {{0, TILE_INDEX_MAX, 255}, "tile/0/x999/x999/x999/x999/x999/999.p/255"},
    };
    (void)state;
    for (size_t i = 0; i < N(rows); i++) {
        char path[TILE_PATH_MAX];
        struct tile tile;
        assert_string_equal(tile_path(path, &rows[i].tile), rows[i].path);
        assert_true(tile_parse(&tile, rows[i].path));
        assert_int_equal(tile.level, rows[i].tile.level);
        assert_true(tile.index == rows[i].tile.index);
        assert_int_equal(tile.width, rows[i].tile.width);
    }
}

static void test_no_other_way_to_write_a_path_is_one(void **state)
{
    static const char *const paths[] = {
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/0/000/",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/x000/x001/000",
        "tile/0/001/000",
        "tile/0/x001/0",
        "tile/0/x001/x002",
        "tile/0/x001//002",
        "tile/0/X001/002",
        "tile/0/x01/002",
        "tile/0/x0001/002",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/001",
        "tile/0/000.p/256",
        "tile/0/000.p/257",
        "tile/0/000.p/999",
        "tile/0/000.p/4294967297",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000.p/-1",
        "tile/0/000.p/+1",
        "tile/0/000.p/ 1",
        "tile/0/000.p/1 ",
        "tile/0/000.P/1",
        "tile/0/x000.p/1",
        "tile/0/-01",
        "tile/0/+01",
        "tile/0/ 01",
        "tile/0/0x1",
        "tile/00/000",
        "tile/01/000",
        "tile/8/000",
        "tile/9/000",
        "tile/63/000",
        "tile/-1/000",
        "tile/entries",
        "tile/entries/",
        "tile/entries/0",
        "tile/entries/000.p/0",
        "tile/Entries/000",
        "tile/entries/entries/000",
        "Tile/0/000",
        "/tile/0/000",
        "tile//0/000",
        "tile/./0/000",
        "tile/0/../0/000",
        "tile/0/%30%30%30",
        "tile/0/000%2ep/1",
        "tile/0/x001%2f000",
        "tile/0/000?x=1",
        "tile/0/000#",
        "tile/0/000.gz",
        "tile/0/\xef\xbc\x90\xef\xbc\x90\xef\xbc\x90",
        "tile/0/x001/x000/x000/x000/x000/x000/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
    };
    (void)state;
    for (size_t i = 0; i < N(paths); i++) {
        struct tile tile;
        if (tile_parse(&tile, paths[i]))
            fail_msg("'%s' is taken for a path", paths[i]);
    }
}

static void test_a_very_deep_path_is_none(void **state)
{
    static char path[5 * 100000 + 32] = "tile/0/";
    struct tile tile;
    (void)state;
    char *end = path + strlen(path);
    for (int i = 0; i < 100000; i++, end += 5)
        memcpy(end, "x001/", 5);
    strcpy(end, "001");
    assert_false(tile_parse(&tile, path));
}

/* Whatever is taken for a path is written back as it came; the sanitizers watch the rest. */
static void test_any_bytes_are_a_path_or_none(void **state)
{
    static const char alphabet[] = "0019x./p%e";
    uint32_t seed = 20261125;
    unsigned taken = 0;
    (void)state;
    for (int round = 0; round < 500000; round++) {
        char path[48] = "tile/0/", again[TILE_PATH_MAX];
        struct tile tile;
        size_t n = 7;
        while (n < sizeof path - 1 && (seed = seed * 1664525 + 1013904223) >> 29)
            path[n++] = alphabet[(seed >> 16) % (sizeof alphabet - 1)];
        path[n] = '\0';
        if (!tile_parse(&tile, path))
            continue;
        taken++;
        assert_string_equal(tile_path(again, &tile), path);
    }
    assert_true(taken > 0);
}

static void test_widths_add_up_to_the_tree(void **state)
{
    static const uint64_t sizes[] = {0,     1,     2,     255,      256,      257,      511,
                                     65535, 65536, 65537, 16777215, 16777216, 16777217, 1234567890123};
    (void)state;
    for (size_t i = 0; i < N(sizes); i++) {
        for (int level = TILE_ENTRIES; level < TILE_LEVELS; level++) {
            uint64_t hashes = level == TILE_ENTRIES ? sizes[i] : sizes[i] >> (8 * level);
            uint64_t n = tile_count(level, sizes[i]);
            unsigned last = n ? tile_width_in(level, n - 1, sizes[i]) : 0;
            assert_true(n == (hashes + 255) / 256);
            if (n > 1)
                assert_int_equal(tile_width_in(level, n - 2, sizes[i]), 256);
            if (n > 0)
                assert_true((n - 1) * 256 + last == hashes);
            assert_int_equal(tile_width_in(level, n, sizes[i]), 0);
            assert_int_equal(tile_width_in(level, TILE_INDEX_MAX, sizes[i]), 0);
        }
    }
    assert_int_equal(tile_width_in(7, 0, UINT64_MAX), 255);
    assert_int_equal(tile_width_in(0, TILE_INDEX_MAX / 256, UINT64_MAX), 256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_those_of_the_specification),
        cmocka_unit_test(test_no_other_way_to_write_a_path_is_one),
        cmocka_unit_test(test_a_very_deep_path_is_none),
        cmocka_unit_test(test_any_bytes_are_a_path_or_none),
        cmocka_unit_test(test_widths_add_up_to_the_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
