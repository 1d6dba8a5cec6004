// SPDX-License-Identifier: Apache-2.0
#include "base/hash_pieces.h"

#include <string.h>

#include "tests/unit/unit.h"

static void known_answers(void **state)
{
    hone_id id;
    char text[HONE_ID_TEXT];
    (void)state;
    hone_hash_once("", 0, &id);      // BLAKE2b with 32 bytes of output; checked with b2sum -l 256
    hone_id_print(&id, text);
    assert_string_equal(text, "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
    hone_hash_once("abc", 3, &id);
    hone_id_print(&id, text);
    assert_string_equal(text, "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
}

static void pieces_make_the_same(void **state)
{
    hone_hash hash;
    hone_id whole, parts;
    (void)state;
    hone_hash_once("ab\0cd", 6, &whole);
    hone_hash_init(&hash);
    hone_hash_add_text(&hash, "ab");
    hone_hash_add_text(&hash, "cd");
    hone_hash_end(&hash, &parts);
    assert_true(hone_id_equal(&whole, &parts));
    hone_hash_init(&hash);
    hone_hash_add_text(&hash, "abc");
    hone_hash_add_text(&hash, "d");
    hone_hash_end(&hash, &parts);
    assert_false(hone_id_equal(&whole, &parts));
}

static void print_and_parse_are_inverse(void **state)
{
    hone_id id, back;
    char text[HONE_ID_TEXT + 1];
    (void)state;
    hone_hash_once("x", 1, &id);
    hone_id_print(&id, text);
    assert_true(hone_id_parse(text, &back) && hone_id_equal(&id, &back));
    strcat(text, "0");
    assert_false(hone_id_parse(text, &back));
    text[63] = 0;
    assert_false(hone_id_parse(text, &back));
    assert_false(hone_id_parse("", &back));
    hone_id_print(&id, text);
    text[10] = 'g';
    assert_false(hone_id_parse(text, &back));
}

static void many_are_what_each_is_alone(void **state)
{
    static char text[1000];
    hone_piece pieces[100];
    (void)state;
    for (size_t k = 0; k < sizeof text; k++) text[k] = (char)(k * k);
    for (size_t n = 0; n <= 100; n += 1 + n * 10) {
        for (size_t k = 0; k < n; k++) pieces[k] = (hone_piece){.data = &text[k], .size_bytes = 9 * k};
        hone_hash_pieces(pieces, n);
        for (size_t k = 0; k < n; k++) {
            hone_id alone;
            hone_hash_once(&text[k], 9 * k, &alone);
            assert_true(hone_id_equal(&alone, &pieces[k].id));
        }
    }
}

int test_base_hash(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),
        cmocka_unit_test(pieces_make_the_same),
        cmocka_unit_test(many_are_what_each_is_alone),
        cmocka_unit_test(print_and_parse_are_inverse),
    };
    return cmocka_run_group_tests_name("base_hash", tests, NULL, NULL);
}
